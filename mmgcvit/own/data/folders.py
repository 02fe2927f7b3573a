"""List the files in the folder of a dataset, and say which of them are not read."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from ...errors import UserError, format_count, shorten
from ...host.files import IMAGE_SUFFIXES, expand_user, fold_name, walk
from ..pictures.output_files import list_outputs
from .records import DatasetInfo

# In a folder of ``predict --labels``: which model made which labels, and the names of the pictures
# whose labels somebody found right.
MARK = 'made_by.json'
CORRECTED = 'corrected.txt'


@dataclass(frozen=True)
class Folder:
    """The files of a dataset's folder."""

    path: Path
    files: Sequence[Path]  # relative to ``path``; images, annotations and the like
    outputs: Sequence[Path]  # what mmgcvit's commands have written
    origin_files: Sequence[Path] = ()  # MARK and CORRECTED

    def list_files(self, *suffixes: str) -> list[Path]:
        """Return the files with one of these suffixes, in any case.

        The files .aux.xml, which GDAL writes beside images, are left out.
        """
        return [
            file
            for file in self.files
            if file.suffix.lower() in suffixes and not file.name.lower().endswith('.aux.xml')
        ]

    @cached_property
    def images(self) -> list[Path]:
        return self.list_files(*IMAGE_SUFFIXES)


def scan_folder(folder: Path) -> Folder:
    """List the files below a folder. Skip hidden files and Synology's thumbnails.

    Outputs of mmgcvit's commands are left out. Links to folders are followed (:func:`walk`).

    Raise a UserError if a folder inside has labels of ``predict --labels``.
    """
    files = []
    outputs = []
    for parent, folders, names in walk(folder):
        inside = parent.relative_to(folder)
        everything = [*folders, *names]
        written = list_outputs(parent, everything)
        outputs += [inside / name for name in sorted(written)]
        if MARK in names and inside.parts:
            raise UserError(
                f'{parent} has {MARK}, so it is a folder of predict --labels of its own. Pass it '
                f'itself (--data {parent}), and move it out of {folder}'
            )
        skipped = written | {name for name in everything if name.startswith(('.', '@eaDir'))}
        folders[:] = sorted(set(folders) - skipped)
        for name in set(names) - skipped:
            path = parent / name
            # Pipes and devices would be waited for. Dangling links are missing files.
            if path.is_file() or not path.exists():
                files.append(inside / name)
    origin_files = [Path(name) for name in (MARK, CORRECTED) if Path(name) in files]
    if Path(MARK) not in origin_files:
        origin_files = []
    rest = sorted(set(files).difference(origin_files))
    return Folder(folder, rest, outputs, origin_files)


def describe_left_out(folder: Folder, dataset: DatasetInfo) -> list[str]:
    """Return notes about images that the reader has not read, and about outputs of commands."""
    paths = [path for split in dataset.splits.values() for path in split.image_paths]
    paths += [folder.path / file for file in dataset.maps]
    resolve = cache(resolve_folder)
    read = {os.path.join(resolve(path.parent), path.name) for path in paths}  # noqa: PTH118
    folded = {fold_name(path): path for path in read}
    unread = []
    for file in folder.images:
        path = os.path.join(resolve(folder.path / file.parent), file.name)  # noqa: PTH118
        if path not in read and not are_one_file(path, folded.get(fold_name(path))):
            unread.append(file)
    notes = []
    if unread:
        notes.append(
            f'left out, because nothing that can be used says what they show: '
            f'{format_count(len(unread), "image")} ({shorten(unread)})'
        )
    if folder.outputs:
        notes.append(f'left out, because commands of mmgcvit wrote them: {shorten(folder.outputs)}')
    return notes


def are_one_file(path: str, other: str | None) -> bool:
    """Return whether two spellings of a path lead to one file, on a disk that ignores case or
    Unicode form.
    """
    if other is None or not all(map(os.path.isfile, (path, other))):
        return False
    return os.path.samefile(path, other)  # noqa: PTH121


def resolve_folder(folder: Path) -> str:
    """Return the path of a folder without links. A path that no folder can have is not changed."""
    try:
        return os.path.realpath(folder)
    except ValueError:
        return str(folder)


def find_folder(path: str | Path) -> Path:
    """Return the folder of a dataset. Raise a UserError for a file and a missing folder."""
    path = expand_user(path)
    if not path.exists():
        raise UserError(f'there is no folder {path}')
    if not path.is_dir():
        raise UserError(f'{path} is a file. Pass the folder of the dataset, with its images')
    return path
