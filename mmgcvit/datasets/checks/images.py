"""Check that image files exist, can be decoded and have the annotated size."""

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import mmcv
from mmengine.config import ConfigDict

from ...errors import get_first_line
from ..headers import decode_image
from .report import Issue, Report
from .sources import get_type_name, iter_transforms

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


@dataclass(frozen=True)
class DecodingSettings:
    """How a pipeline decodes images: arguments of mmcv's ``imfrombytes``, and the treatment of EXIF rotation."""

    flag: str = 'color'
    backend: str = 'cv2'
    # Whether the pipeline has mmgcvit.ApplyExifAsAnnotated, which skips EXIF rotation if the annotations are unrotated.
    matches_annotated_size: bool = False


def get_decoding_settings(settings: ConfigDict) -> DecodingSettings:
    """Return the settings with which a dataset's pipeline decodes images."""
    transforms = {get_type_name(transform): transform for transform in iter_transforms(settings)}
    load = transforms.get('LoadImageFromFile', {})
    return DecodingSettings(
        load.get('color_type', 'color'), load.get('imdecode_backend') or 'cv2', 'ApplyExifAsAnnotated' in transforms
    )


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
        content = Path(image.path).read_bytes()
        # Decode with Pillow, because some versions of OpenCV accept truncated JPEG files (opencv/opencv#17862). Then
        # decode with mmcv, as in training.
        stored_size = decode_image(io.BytesIO(content))
        loaded = mmcv.imfrombytes(content, flag=decoding.flag, backend=decoding.backend)
        if loaded is None:
            raise ValueError(f'{decoding.backend} cannot decode it')
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
