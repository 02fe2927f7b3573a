"""Find images that are the same, whatever their names, links or splits."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ...files import compute_sha256

# Of files of the same size, this number of bytes is compared first, at the end, where images differ.
END_SIZE = 4096


def find_same_images(paths: Sequence[Path]) -> list[int]:
    """Return, for each image, the index of the first image that is the same: the first one with the same bytes.

    So the names, links and copies of an image are one. Files that are empty or cannot be read are like no other. Only
    files of the same size and the same last bytes are read completely.
    """
    firsts, groups = [*range(len(paths))], [[*range(len(paths))]]
    with ThreadPoolExecutor() as pool:
        for read in (read_size, read_end, compute_sha256):
            parts: dict[Any, list[int]] = defaultdict(list)
            for number, group in enumerate(groups):
                for index, value in zip(group, pool.map(make_tolerant(read), [paths[i] for i in group]), strict=True):
                    if value:
                        parts[number, value].append(index)
            groups = [part for part in parts.values() if len(part) > 1]
    for group in groups:
        for index in group:
            firsts[index] = group[0]
    return firsts


def read_size(path: Path) -> int:
    """Return the size of a file in bytes, and 0 for folders, pipes and devices."""
    return path.stat().st_size if path.is_file() else 0


def read_end(path: Path) -> bytes:
    with path.open('rb') as file:
        file.seek(-min(END_SIZE, path.stat().st_size), 2)
        return file.read()


def make_tolerant(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Return a function that reads a file, and returns None if that fails."""

    def try_to_read(path: Path) -> Any:
        try:
            return read(path)
        except (OSError, ValueError):  # a name may have a null character
            return None

    return try_to_read
