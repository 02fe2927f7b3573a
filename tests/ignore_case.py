"""Let names be equal below a folder that differ only in case or Unicode form, as on the disks of
macOS and Windows, exFAT sticks and some network drives. Entries keep the spelling with which they
were created.

``python -m tests.ignore_case FOLDER COMMAND ...`` runs a command of mmgcvit so. It replaces the
functions of Python that take paths; libraries that open files by themselves see the real disk.
"""

import builtins
import io
import os
import sys
import unicodedata
from functools import partial
from pathlib import Path

ONE_PATH = ('access', 'chmod', 'listdir', 'lstat', 'mkdir', 'open', 'readlink', 'remove', 'rmdir')
ONE_PATH += ('scandir', 'stat', 'unlink', 'utime')
TWO_PATHS = ('link', 'rename', 'replace')
ORIGINAL = {name: getattr(os, name) for name in (*ONE_PATH, *TWO_PATHS)}


def fold(name):
    return unicodedata.normalize('NFC', name).casefold()


def exists(path):
    try:
        ORIGINAL['lstat'](path)
    except OSError:
        return False
    return True


def respell(folder, path):
    """Return a path with the spelling of the entries that exist."""
    if not isinstance(path, str | os.PathLike):
        return path
    text = str(Path(path).absolute())
    if not text.startswith(f'{folder}{os.sep}'):
        return path
    found = str(folder)
    for part in Path(text).relative_to(folder).parts:
        if not exists(f'{found}/{part}'):
            entries = ORIGINAL['listdir'](found) if exists(found) else []
            part = next((entry for entry in entries if fold(entry) == fold(part)), part)
        found += f'/{part}'
    return found


def call(original, folder, num_paths, *args, **kwargs):
    if kwargs.get('dir_fd') is not None:  # of a relative path
        return original(*args, **kwargs)
    paths = [respell(folder, path) for path in args[:num_paths]]
    return original(*paths, *args[num_paths:], **kwargs)


def install(folder):
    """Replace the functions of this process."""
    for name in ONE_PATH:
        setattr(os, name, partial(call, ORIGINAL[name], folder, 1))
    for name in TWO_PATHS:
        setattr(os, name, partial(call, ORIGINAL[name], folder, 2))
    builtins.open = io.open = partial(call, io.open, folder, 1)


if __name__ == '__main__':
    from mmgcvit.commands.main import main

    install(Path(sys.argv[1]))
    sys.argv = ['mmgcvit', *sys.argv[2:]]
    main()
