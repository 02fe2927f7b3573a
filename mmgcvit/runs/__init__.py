"""The folder of a run, its work dir: the names of its files, its checkpoints, and its lock."""
