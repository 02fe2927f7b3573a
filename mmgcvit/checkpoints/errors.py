"""The kinds of error that checkpoints raise."""

from collections.abc import Sequence

LONGEST_MESSAGE = 2000


class CheckpointError(ValueError):
    """A checkpoint cannot be used. The message names the file, the reason and what to do.

    Characters that would do something to a terminal, as names in a file may hold, are written out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class DamagedCheckpointError(CheckpointError):
    """A file is not what was once written: torn, altered, or no checkpoint at all."""


class NotDataError(Exception):
    """A pickle holds what is no data. The message says what, as the object of 'needs'."""


def printable(text: str) -> str:
    """A text of bounded length that only prints: control characters and the like become escapes."""
    text = text if len(text) <= LONGEST_MESSAGE else f'{text[:LONGEST_MESSAGE]} ...'
    return ''.join(c if c.isprintable() or c == '\n' else c.encode('unicode_escape').decode() for c in text)


def shorten(names: Sequence[str], most: int = 3) -> str:
    """The first of many names."""
    return printable(', '.join(names[:most])) + (', ...' if len(names) > most else '')


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing, as a MemoryError."""
    return next(iter(str(error).splitlines()), '') or type(error).__name__
