"""Take away what Linux has and macOS lacks, as far as that can be done on Linux: system calls,
/proc, /dev/shm, and forks as the default of multiprocessing.

``python -m tests.without_linux predict ...`` runs a command so, and ``python -m pytest -p
tests.without_linux FILES`` runs tests so. A command finds an Apple GPU too, as mmengine does on a
Mac, but torch cannot use it, and ends if it forks, which may crash there. It is not a Mac:
processor, libraries and file system are those of this machine.
"""

import ctypes
import multiprocessing
import os
import select
import signal
import sys

LINUX_ONLY = {
    os: ['sched_getaffinity', 'sched_setaffinity', 'memfd_create', 'pidfd_open', 'eventfd'],
    signal: ['sigwaitinfo', 'sigtimedwait', 'SIGRTMIN', 'SIGPWR'],
    select: ['epoll'],
}
FOLDERS = ('/proc', '/dev/shm')


class Library(ctypes.CDLL):
    """The C library without its Linux functions."""

    def __getattr__(self, name: str):
        if name in {'prctl', 'gnu_get_libc_version', 'malloc_trim'}:
            raise AttributeError(f'dlsym: symbol not found: {name}')
        return super().__getattr__(name)


def hide_folders(event: str, arguments: tuple) -> None:
    """Raise a FileNotFoundError where a file of :data:`FOLDERS` is opened or listed by Python."""
    if event not in {'open', 'os.listdir', 'os.scandir'} or not arguments:
        return
    path = arguments[0]
    if isinstance(path, str) and path.startswith(FOLDERS):
        raise FileNotFoundError(2, 'No such file or directory', path)


for module, names in LINUX_ONLY.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
ctypes.CDLL = Library
sys.addaudithook(hide_folders)
multiprocessing.set_start_method('spawn', force=True)  # spawned processes import this again

if __name__ == '__main__':
    from mmengine.device import utils

    from mmgcvit.commands.main import main

    utils.DEVICE = 'mps'
    del os.fork
    main()
