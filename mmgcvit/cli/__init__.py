"""What the commands share: a config and its options, checks before a run starts, the processes of a run."""
