"""A disk that is full while a run writes to it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

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
