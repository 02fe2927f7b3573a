"""Lock the folder of a run against other trainings."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from ..errors import UserError
from ..host.files import check_writable

# In seconds. The data workers of a killed process are forks, which hold its lock until they end.
# On Linux the kernel ends them with it, elsewhere they look for it every second.
LOCK_TIMEOUT = 10


@contextmanager
def lock_folder(folder: Path, name: str) -> Iterator[None]:
    """Create the folder of a run, and lock the file ``name`` in it against other trainings. When
    the process ends or is killed, the lock is released.

    Raise a UserError if the folder cannot be written, or another training runs in it.
    """
    check_writable(folder, f'the work dir {folder}')
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open('a+') as lock:
        acquire_lock(lock, folder)
        lock.truncate(0)
        lock.write(f'process {os.getpid()} on {socket.gethostname()}')
        lock.flush()
        try:
            yield
        finally:
            # Closing the file does not unlock it while data workers, which are forks, have it open.
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_UN)


def acquire_lock(lock: TextIO, folder: Path) -> None:
    """Lock the lock file of a run, or warn if its file system has no locks.

    Raise a UserError if another process keeps it locked.
    """
    end = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:  # another process has it
            if time.monotonic() > end:
                lock.seek(0)
                raise UserError(
                    f'another training is running in {folder} ({lock.read()}). Wait, or set '
                    f'another work_dir. If its node has failed, remove {lock.name}',
                    arguments=['work_dir'],
                ) from None
            time.sleep(0.1)
        except OSError as error:
            from ..host.runners import log_warning

            log_warning(
                f'{folder} cannot be locked ({error.strerror}). Do not start another training in it'
            )
            return
