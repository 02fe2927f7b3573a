"""Find images and videos by file, folder and glob pattern."""

import glob
import os
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ...errors import UserError
from ...host.files import IMAGE_SUFFIXES, is_url, make_absolute, raise_unreadable, walk
from .output_files import list_outputs

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv')
STAR = '\0'  # stands for a * that stays a wildcard


def find_inputs(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Find (images, videos) by files, folders and glob patterns.

    A folder is searched without its subfolders.
    """
    # The file as it is given, by its URL or absolute path: one that is given twice, also by other
    # paths, is one input.
    found: dict[str | Path, str] = {}
    for name in names:
        for file in list_files(name):
            found.setdefault(file if is_url(file) else make_absolute(file), file)
    images: list[str] = []
    videos: list[str] = []
    for file in found.values():
        # A file that the user names counts as an image if it has no video suffix.
        if file.lower().endswith(VIDEO_SUFFIXES):
            videos.append(file)
        else:
            images.append(file)
    return images, videos


def list_files(name: str) -> list[str]:
    """List a file or URL, or the images and videos of a folder or glob pattern.

    Raise a UserError if there are none.
    """
    path = Path(name)
    if is_url(name) and name.lower().endswith(VIDEO_SUFFIXES):
        raise UserError(f'{name}: videos are not read from URLs. Download it, and pass its path')
    if is_url(name) or path.is_file():
        return [name]
    pattern = os.path.join(glob.escape(name), '*') if path.is_dir() else name  # noqa: PTH118
    files = []
    for file in sorted(expand_pattern(pattern)):
        if file.lower().endswith(IMAGE_SUFFIXES + VIDEO_SUFFIXES) and not Path(file).is_dir():
            files.append(file)
    if '**' in name:
        # Earlier predictions below the folder are not inputs.
        files = drop_outputs(files, Path(name.partition('**')[0]))
    if files:
        return files
    if not path.is_dir() and not glob.has_magic(name):
        raise UserError(f'there is no file or folder {name}')
    if '[' in name:
        raise UserError(
            f'{name}: no image or video found. In a pattern, [ and ] enclose alternatives. Write '
            f'[[] for a [ in a name: {glob.escape(name.replace("*", STAR)).replace(STAR, "*")}'
        )
    raise UserError(
        f"{name}: no image or video found. For images in subfolders, use 'FOLDER/**/*', with the "
        'quotes'
    )


def expand_pattern(pattern: str) -> list[str]:
    """List the paths that match a glob pattern, in which ``**`` stands for a folder and all below.

    Python's ``glob`` leaves out folders that cannot be read, and follows a link to a folder above
    40 times, so that each picture would be 40 inputs. Here the former raise a UserError, and each
    folder is visited once.
    """
    recursive = re.search(r'(?:^|(?<=/))\*\*(?=/|$)', pattern)
    if recursive is None:
        return glob.glob(pattern)  # noqa: PTH207
    start = pattern[: recursive.start()]
    rest = pattern[recursive.start() :].split('/')
    starts = glob.glob(start) if glob.has_magic(start) else [start]  # noqa: PTH207
    files = []
    for root in starts:
        top = Path(root or '.')
        if top.is_dir():
            inside = find_matching(top, rest)
            files += [os.path.join(root, *parts) for parts in inside]  # noqa: PTH118
    return files


def find_matching(top: Path, pattern: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the parts of the paths of files below a folder that match the parts of a pattern.

    A file that matches at its own path and at that of a link to its folder is there once.
    """
    # As in glob, names with a dot in front are hidden, unless the pattern has one.
    is_hidden_named = any(part.startswith('.') for part in pattern)
    found = []
    links = []
    for parent, folders, names in walk(top):
        if not is_hidden_named:
            folders[:] = [name for name in folders if not name.startswith('.')]
        inside = parent.relative_to(top).parts
        found += [(*inside, name) for name in names if matches((*inside, name), pattern)]
        links += [(*inside, name) for name in folders if (parent / name).is_symlink()]
    files = {os.path.realpath(top.joinpath(*parts)) for parts in found}
    # Folders inside were visited at their own paths; a pattern may name the link.
    for link in links:
        start = top.joinpath(*link)
        target = start.resolve()
        is_above = start.parent.resolve().is_relative_to(target)
        if is_above or not target.is_relative_to(top.resolve()):
            continue
        for path, _, names in os.walk(start, onerror=raise_unreadable):
            inside = Path(path).relative_to(top).parts
            for name in names:
                file = os.path.realpath(os.path.join(path, name))  # noqa: PTH118
                if file not in files and matches((*inside, name), pattern):
                    files.add(file)
                    found.append((*inside, name))
    return found


def matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether the parts of a file's path match those of a glob pattern. ``**`` matches any
    number of parts, and a name with a dot in front only a pattern with one.

    A last ``**`` stands for what is in a folder, so it matches at least the file's own name.
    """
    if not pattern or not parts:
        return not pattern and not parts
    first, *rest = pattern
    if first == '**':
        for end in range(len(parts) + 1):
            if end and parts[end - 1].startswith('.'):
                return False
            if matches(parts[end:], rest):
                return True
        return False
    if parts[0].startswith('.') and not first.startswith('.'):
        return False
    return fnmatchcase(parts[0], first) and matches(parts[1:], rest)


def drop_outputs(files: Sequence[str], root: Path) -> list[str]:
    """Drop the files that mmgcvit's commands have written into folders below ``root``."""
    outputs: set[Path] = set()
    for folder in {parent for file in files for parent in Path(file).parents}:
        if len(folder.parts) >= len(root.parts):
            names = list_outputs(folder, [path.name for path in folder.iterdir()])
            outputs.update(folder / name for name in names)
    return [file for file in files if outputs.isdisjoint([Path(file), *Path(file).parents])]
