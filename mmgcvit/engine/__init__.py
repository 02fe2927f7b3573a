"""What training needs beyond the hosts: precision that fits the machine, sharding, learning rates by layer, progress."""
