"""What goes wrong and a user can mend: one kind of error, raised anywhere and shown in one place (commands/main.py)."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LONGEST_MESSAGE = 2000


class UserError(ValueError):
    """Something that was given cannot be used. The message is a sentence: what was given, what is allowed, what to do.

    Characters that would do something to a terminal, as names of files may hold, are written out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class CheckpointError(UserError):
    """A checkpoint cannot be used."""


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
    line = next(iter(str(error).splitlines()), '') or type(error).__name__
    # Pillow names a source in memory by its address.
    return 'no image' if line.startswith('cannot identify') else line


@contextmanager
def in_a_sentence(command: str, out_dir: Path | None = None) -> Iterator[None]:
    """Have a command say in one sentence what it cannot do.

    Args:
        command: Its name, which the sentence begins with.
        out_dir: Where a full disk leaves what was done until then.

    Raises:
        SystemExit: In the block something could not be used, a file or folder could not be read or written, or the
            disk that has ``out_dir`` is full.
    """
    try:
        yield
    except UserError as error:
        raise SystemExit(f'{command}: {error}') from None
    except OSError as error:
        if out_dir is not None and is_full_disk(error):
            raise SystemExit(f'{command}: {error.strerror}; {out_dir} has what was done until then') from None
        # Without a file's name the user cannot tell what to do: that one is for those who mend the program.
        if error.filename is None:
            raise
        raise SystemExit(f'{command}: {printable(f"{error.filename}: {error.strerror}")}') from None


FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full_disk(error: BaseException) -> bool:
    """Whether something could not be written for want of room."""
    return isinstance(error, OSError) and error.errno in FULL


@contextmanager
def full_disk_in_a_sentence(work_dir: str) -> Iterator[None]:
    """Say of a full disk, or of a quota that is used up, what it is and how to go on.

    Raises:
        SystemExit: Something in the block could not be written for want of room.
    """
    try:
        yield
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise SystemExit(
            f'{error.strerror}: the run could not write, and has ended (work dir {work_dir}). Make room, then call it '
            'again; training goes on from its latest checkpoint with --resume'
        ) from None
