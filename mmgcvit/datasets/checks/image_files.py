"""Check that image files exist, can be decoded and have the annotated size."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...errors import get_first_line
from ..decoding import DecodingSettings, load_image
from .issues import Issue, Report

MISSING = Issue('files that are missing', 'Add them, or remove them from the annotations')
UNREADABLE = Issue('images that cannot be read', 'Copy or convert them again, or remove them')
OTHER_SIZE = Issue(
    'images whose width and height differ from their annotations or segmentation maps',
    'Change the annotations, or replace the files',
)
EXIF_ROTATION = Issue(
    'images whose annotations do not fit after EXIF rotation',
    'Add mmgcvit.ApplyExifAsAnnotated after LoadImageFromFile, or remove the EXIF tag',
)


@dataclass(frozen=True)
class ImageFile:
    """The path of an image and, if they exist, its annotated size (width, height) and its segmentation map's path."""

    path: str
    annotated_size: tuple[int, int] | None = None
    map_path: str | None = None


def find_missing(place: str, paths: Iterable[str], report: Report) -> set[str]:
    """Report and return missing files. List each folder once, because one look-up per file is slow."""
    parts = {path: os.path.split(path) for path in paths}
    names = {folder: set(os.listdir(folder or '.')) for folder, _ in parts.values() if Path(folder or '.').is_dir()}  # noqa: PTH208
    missing = [path for path, (folder, name) in parts.items() if name not in names.get(folder, ())]
    report.add(MISSING, place, missing)
    return {*missing}


def check_image(image: ImageFile, decoding: DecodingSettings) -> tuple[tuple[int, int] | None, list[tuple[Issue, str]]]:
    """Decode an image. Return (size, issues). Size is the loaded (width, height), or None if decoding fails."""
    try:
        loaded, stored_size = load_image(image.path, decoding)
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        return None, [(UNREADABLE, f'{image.path} ({get_first_line(error)})')]
    size, annotated_size = loaded.shape[1::-1], image.annotated_size
    if annotated_size in (None, size):
        return size, []
    if annotated_size == stored_size and decoding.matches_annotated_size:
        return stored_size, []
    example = f'{image.path} is {size[0]} x {size[1]}, annotated as {annotated_size[0]} x {annotated_size[1]}'
    return size, [(EXIF_ROTATION if annotated_size == stored_size else OTHER_SIZE, example)]
