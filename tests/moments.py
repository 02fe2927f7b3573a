"""Run a command, and copy a folder at each moment at which a kill would leave other files in it.

A killed process leaves its files as they are. So a copy of them is what a kill at that moment
leaves.
"""

import os
import re
import shutil
import sys
from pathlib import Path

from mmgcvit.commands.main import main

from .tools.commands import call

CHANGES = ('open', 'os.rename', 'os.remove', 'os.mkdir', 'os.rmdir')
# Logs, the lock, and files that are not whole yet: what a command does next depends on none of
# them.
IGNORED = re.compile(r'\d{8}_\d{6}/|\.lock$|\.unfinished$')


def copy_at_changes(folder, states):
    """Add an audit hook that copies ``folder`` into ``states`` before each change of a file, and
    after each opening.
    """
    seen = set()
    is_copying = False

    def copy(files):
        key = frozenset(item for item in files.items() if not IGNORED.search(item[0]))
        if key in seen:
            return
        seen.add(key)
        for name, content in files.items():
            copied = states / f'{len(seen):03d}' / name
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(content)
            if (folder / name).exists():
                shutil.copystat(folder / name, copied)

    def hook(event, arguments):
        nonlocal is_copying
        if is_copying or event not in CHANGES:
            return
        path, *_ = arguments
        if not isinstance(path, (str, os.PathLike)):
            return
        path = Path(path).absolute()
        flags = arguments[2] if event == 'open' else os.O_WRONLY
        is_changing = flags & (os.O_WRONLY | os.O_RDWR)
        if not is_changing or not path.is_relative_to(folder):
            return
        is_copying = True
        files = read_files(folder)
        copy(files)
        if flags & os.O_TRUNC and not path.is_dir():  # a temporary file has the folder's path
            copy(files | {str(path.relative_to(folder)): b''})
        is_copying = False

    sys.addaudithook(hook)


def read_files(folder):
    """Return the content of each file in a folder by its relative path."""
    files = [path for path in folder.rglob('*') if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def run(cwd, *command, module=('mmgcvit',)):
    """Run a command of mmgcvit in a folder, and return its output."""
    return call('', '-m', *module, *command, folder=cwd)


def list_states(folder, states, *command, cwd=None):
    """Run a command of mmgcvit, whose files are in ``folder``. Return the folders of its states."""
    run(cwd, *command, module=('tests.moments', folder, states))
    found = sorted(states.iterdir())
    assert len(found) > 1, 'each command writes at least one file'
    return found


def restore(state, folder):
    """Make ``folder`` what a kill left of it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(state, folder)


if __name__ == '__main__':
    copy_at_changes(*map(Path, sys.argv[1:3]))
    sys.argv = ['mmgcvit', *sys.argv[3:]]
    main()
