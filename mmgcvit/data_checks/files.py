"""Files are looked at before they are opened: opening a pipe that nobody writes to never ends."""

import os
import stat
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from .problems import Kind, Outcome, Report

MISSING = Kind('files that are missing', Outcome.STOPS, 'put them there, or take them out of the annotations')
NO_FILE = Kind(
    'entries that are no regular files (folders, pipes, devices)', Outcome.STOPS, 'put the files themselves there'
)
EMPTY = Kind('files of 0 bytes', Outcome.STOPS, 'copy them again')


NOT_LISTED = Kind(
    'images that the data set does not list, for their endings, places or kinds of file',
    Outcome.LEFT_OUT,
    'look at the endings that the config names (img_suffix, extensions), and whether they lie in a folder of a class',
)
# How image files end that data sets may have been meant to list.
ENDINGS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff', '.ppm', '.pgm', '.jp2', '.avif', '.heic')


def problem_of(path: str) -> Kind | None:
    """Why a file cannot be read, without opening it."""
    try:
        status = os.stat(path)  # noqa: PTH116  (a Path for each of a hundred thousand files takes longer)
    except OSError:
        return MISSING
    if not stat.S_ISREG(status.st_mode):
        return NO_FILE
    return EMPTY if status.st_size == 0 else None


def check_presence(place: str, paths: Iterable[str], report: Report) -> frozenset[str]:
    """Compare files with what is in their folders, each folder read once.

    Args:
        place: The file that names them.
        paths: The files.
        report: Gets those that are missing or no files.

    Returns:
        Those that are missing or no files.
    """
    paths_by_folder = defaultdict(list)
    for path in paths:
        paths_by_folder[os.path.dirname(path)].append(path)  # noqa: PTH120  (as os.stat above)
    missing, no_files = [], []
    for folder, named in paths_by_folder.items():
        is_file = {os.path.join(folder, name): value for name, value in entries_in(folder).items()}  # noqa: PTH118
        missing += [path for path in named if path not in is_file]
        no_files += [path for path in named if not is_file.get(path, True)]
    for kind, found in ((MISSING, missing), (NO_FILE, no_files)):
        if found:
            report.add(kind, place, found)
    return frozenset(missing + no_files)


def check_all_listed(place: str, folder: str, listed: Collection[str], report: Report) -> None:
    """Look in a folder for images that a data set, which lists what it finds there, leaves out without a word.

    Args:
        place: The data set, by its folder.
        folder: The folder, which is walked through.
        listed: The files that the data set lists, as paths that begin with the folder.
        report: Gets the others. Hidden files are none of them.
    """
    listed = frozenset(listed)
    found = (
        os.path.join(parent, name)  # noqa: PTH118  (as the hosts join them)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(ENDINGS) and not name.startswith('.')
    )
    others = [path for path in found if path not in listed]
    if others:
        report.add(NOT_LISTED, place, others)


def entries_in(folder: str) -> Mapping[str, bool]:
    """The names in a folder, and whether each is a regular file; nothing where there is no such folder."""
    if not Path(folder or '.').is_dir():
        return {}
    with os.scandir(folder or '.') as entries:
        return {entry.name: entry.is_file() for entry in entries}
