"""One training at a time in a folder: two would replace and remove each other's checkpoints."""

import fcntl
import os
import socket
from pathlib import Path
from typing import TextIO

from ..errors import CheckpointError

LOCK = '.in_use'


def take_folder(folder: Path) -> TextIO:
    """Take a folder for this process, until it ends or closes what is returned.

    The system gives the folder back however the process ends, on file systems of several machines too; processes that
    it has started do not hold it. On a disk that knows no locks the folder is taken by nobody.

    Args:
        folder: Made if it is not there.

    Returns:
        A file that is to be kept.

    Raises:
        CheckpointError: Another process has the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / LOCK).open('a+')
    try:
        # Unlike flock's, this lock is not inherited: workers may outlive a process that is killed by seconds.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        with file:
            holder = file.read() or 'another process'
        raise CheckpointError(
            f"another training runs in {folder} ({holder}), and two would remove each other's checkpoints. Wait for "
            'its end, or end it, or train in another folder (--work-dir)'
        ) from None
    except OSError:
        return file
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}')
    file.flush()
    return file
