"""Check image files: whether they exist, can be decoded, and have the annotated size."""

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import mmcv
from mmengine.config import ConfigDict
from PIL import Image

from ...errors import get_first_line
from .report import Issue, Report
from .sources import get_type_name, iter_steps

MISSING = Issue('files that are missing', 'put them there, or take them out of the annotations')
UNREADABLE = Issue('images that cannot be read', 'copy or convert them again, or take them out')
OTHER_SIZE = Issue('files of another size than their annotations or images', 'correct the annotations, or the files')
EXIF_ROTATION = Issue(
    'images that their EXIF orientation turns away from their annotations',
    'add mmgcvit.ApplyExifAsAnnotated after LoadImageFromFile, or remove the tag',
)


@dataclass(frozen=True)
class ImageFile:
    """An image file; its annotated width and height, and its segmentation map, if it has them."""

    path: str
    annotated: tuple[int, int] | None = None
    labels: str | None = None


@dataclass(frozen=True)
class Loader:
    """How a pipeline loads images: flag and backend as mmcv's ``imfrombytes`` takes them."""

    flag: str = 'color'
    backend: str = 'cv2'
    # Whether mmgcvit.ApplyExifAsAnnotated follows.
    matches_annotated: bool = False


def get_image_loader(settings: ConfigDict) -> Loader:
    """How a data set's pipeline decodes images."""
    steps = {get_type_name(step): step for step in iter_steps(settings)}
    step = steps.get('LoadImageFromFile', {})
    return Loader(
        step.get('color_type', 'color'), step.get('imdecode_backend') or 'cv2', 'ApplyExifAsAnnotated' in steps
    )


def find_missing(place: str, paths: Iterable[str], report: Report) -> set[str]:
    """Report and return the files that are missing; each folder is listed once."""
    split = {path: os.path.split(path) for path in paths}
    names = {folder: set(os.listdir(folder or '.')) for folder, _ in split.values() if Path(folder or '.').is_dir()}  # noqa: PTH208
    missing = [path for path, (folder, name) in split.items() if name not in names.get(folder, ())]
    report.add(MISSING, place, missing)
    return {*missing}


def check_image(image: ImageFile, loader: Loader) -> tuple[tuple[int, int] | None, list[tuple[Issue, str]]]:
    """Decode an image: its width and height as loaded, None if it cannot be; and its issues."""
    try:
        content = Path(image.path).read_bytes()
        # Pillow rejects truncated JPEG files that some versions of OpenCV fill up (opencv/opencv#17862); what mmcv
        # decodes is what training sees.
        with Image.open(io.BytesIO(content)) as decoded:
            stored = decoded.size
            decoded.load()
        loaded = mmcv.imfrombytes(content, flag=loader.flag, backend=loader.backend)
        if loaded is None:
            raise ValueError(f'{loader.backend} cannot decode it')
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        return None, [(UNREADABLE, f'{image.path} ({get_first_line(error)})')]
    size, annotated = loaded.shape[1::-1], image.annotated
    if annotated in (None, size):
        return size, []
    if annotated == stored and loader.matches_annotated:
        return stored, []
    text = f'{image.path} is {size[0]} x {size[1]}, annotated as {annotated[0]} x {annotated[1]}'
    return size, [(EXIF_ROTATION if annotated == stored else OTHER_SIZE, text)]
