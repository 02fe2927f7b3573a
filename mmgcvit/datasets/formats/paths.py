"""List the files of a dataset, and find the split that a path names."""

import os
import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError
from ...files import list_outputs

# Names of folders, or words in the names of folders and files, that say which split they contain
# (lower case).
SPLIT_NAME = re.compile(
    r'(?:(?P<train>train(?:ing)?)|(?P<val>val(?:id(?:ation)?)?|dev)|(?P<test>test(?:ing)?))'
    r'[_\- ]?(?:set|data|images)?\d*'
)


def list_splits(path: Path) -> list[tuple[str, str]]:
    """Return (split, name) of each name in a path that names one split: ``[('train',
    'train2017')]``.
    """
    splits = []
    for name in path.parts:
        words = (name.lower(), *re.split(r'[_.\- ]', name.lower()))
        named = {match.lastgroup for match in map(SPLIT_NAME.fullmatch, words) if match}
        splits += [(split, name) for split in named if len(named) == 1]
    return splits


def find_split(path: Path) -> str | None:
    """Return the split that a path names ('train' for train2017/a.jpg), or None.

    The last name with a split counts.
    """
    return next((split for split, _ in reversed(list_splits(path))), None)


def assign_splits(folder: Path, files: Sequence[Path]) -> dict[Path, str]:
    """Return the split of each file by its folders' names, by default ``'train'``, which must name
    one split alike.
    """
    # A folder that contains all files names no split, unless it is the only one that does.
    depth = len(Path(os.path.commonpath([file.parent for file in files])).parts) if files else 0
    names: dict[str, str] = {}
    splits = {}
    for file in files:
        named = list_splits(Path(*file.parent.parts[depth:]))
        for split, name in named:
            if split != named[0][0] or names.setdefault(split, name) != name:
                other = named[0][1] if split != named[0][0] else names[split]
                problem = (
                    f'the split is ambiguous, because there are folders {other!r} and {name!r}'
                )
                raise UserError(f'{folder / file.parent}: {problem}. Rename or move one of them')
        splits[file] = (
            named[0][0] if named else find_split(Path(*file.parent.parts[:depth])) or 'train'
        )
    return splits


def count_steps(first: Path, second: Path) -> int:
    """Return in how many names two folders differ, apart from those with which both begin or end."""
    names = [[*first.parts], [*second.parts]]
    for end in (0, -1):
        while all(names) and names[0][end] == names[1][end]:
            del names[0][end], names[1][end]
    return len(names[0]) + len(names[1])


def raise_unreadable(error: OSError) -> None:
    raise UserError(f'{error.filename} cannot be read ({error.strerror}). Change its permissions')


def list_files(folder: Path, left_out: list[Path] | None = None) -> list[Path]:
    """Return the files below a folder, sorted, as paths relative to it. Skip hidden files and
    Synology's thumbnails.

    Outputs of mmgcvit's commands are skipped too. Links to folders are followed, but each folder is
    listed once: at its own path or, if that is outside of ``folder``, at the first link. Outputs
    and other links are added to ``left_out``.
    """
    # A link to a folder above would list this folder again.
    files, seen, tops = [], {*map(str, folder.resolve().parents)}, deque([folder])
    while tops:
        for parent, folders, names in os.walk(tops.popleft(), onerror=raise_unreadable):
            real = os.path.realpath(parent)
            is_skipped = real in seen
            seen.add(real)
            skipped = (
                {*folders, *names} if is_skipped else list_outputs(Path(parent), [*folders, *names])
            )
            if left_out is not None:
                paths = (
                    [Path(parent)] if is_skipped else sorted(Path(parent, name) for name in skipped)
                )
                left_out += [path.relative_to(folder) for path in paths]
            folders[:] = [
                name
                for name in sorted(folders)
                if not (name in skipped or name.startswith(('.', '@eaDir')))
            ]
            tops.extend(
                path for path in (Path(parent, name) for name in folders) if path.is_symlink()
            )
            paths = (
                Path(parent, name)
                for name in names
                if not (name in skipped or name.startswith('.'))
            )
            # Leave out pipes and devices, which would be waited for. Dangling links are missing
            # files.
            files += [
                path.relative_to(folder) for path in paths if path.is_file() or not path.exists()
            ]
    # The files of a folder come before its folders.
    return sorted(
        files, key=lambda path: [*((1, name) for name in path.parts[:-1]), (0, path.name)]
    )
