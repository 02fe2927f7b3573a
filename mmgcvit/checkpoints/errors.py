"""The one kind of error that checkpoints raise."""


class CheckpointError(ValueError):
    """A checkpoint cannot be used. The message names the file, the reason and what to do."""
