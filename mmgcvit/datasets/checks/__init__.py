"""Check datasets before training: annotation files completely, and all images or a random sample."""
