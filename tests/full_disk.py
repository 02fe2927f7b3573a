"""Let the disk be full from the moment at which a process opens a certain file for writing, or list
the files that it opens.

``python -m tests.full_disk FOLDER NAME COMMAND ...`` runs a command of mmgcvit so. Files outside of
FOLDER can still be written.
"""

import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from mmgcvit.commands.main import main

# What differs between two runs: temporary names, process ids, and the time of the start.
VARYING = re.compile(r'\.[0-9a-f]{8}\.unfinished$|(?<=tmp)\w{8}$')
TIME = re.compile(r'\d{8}_\d{6}')


def watch_openings(folder: Path, notice: Callable[[str], None]) -> None:
    """Call ``notice`` with the name of each file in a folder before this process, but not its child
    processes, opens it for writing. What it raises is raised there.
    """
    process = os.getpid()

    def hook(event: str, arguments: tuple) -> None:
        if event != 'open' or os.getpid() != process:
            return
        path, _, flags = arguments
        is_writing = flags & (os.O_WRONLY | os.O_RDWR)
        if not is_writing or not isinstance(path, str | os.PathLike):
            return
        path = Path(path).absolute()
        if path.is_relative_to(folder) and not path.is_dir():
            notice(TIME.sub('TIME', VARYING.sub('', path.name)))

    sys.addaudithook(hook)


def fill_at(folder: Path, name: str) -> None:
    """Let the disk be full from the first opening of a file with this name on."""
    is_full = False

    def fail(opened: str) -> None:
        nonlocal is_full
        is_full = is_full or opened == name
        if is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), opened)

    watch_openings(folder, fail)


def list_openings(folder: Path, target: Path) -> None:
    """Append the names of opened files to a file outside of the folder."""

    def write(opened: str) -> None:
        with target.open('a') as file:
            file.write(f'{opened}\n')

    watch_openings(folder, write)


if __name__ == '__main__':
    parent = Path(sys.argv[1])
    if sys.argv[2]:
        fill_at(parent, sys.argv[2])
    else:
        list_openings(parent, parent.with_name(f'{parent.name}_openings'))
    sys.argv = ['mmgcvit', *sys.argv[3:]]
    main()
