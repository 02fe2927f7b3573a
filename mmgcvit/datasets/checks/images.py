"""Check image files: whether they are there, can be decoded, and have the annotated size."""

import io
import os
import random
import stat
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import mmcv
from mmengine.config import ConfigDict
from PIL import Image
from rich.progress import Progress

from ...errors import first_line
from ..headers import orientation_of
from .report import Issue, Report
from .sources import steps_of, type_name

# Pillow and OpenCV decode without Python's lock; each thread holds an image or two.
MAX_THREADS = 16

MISSING = Issue('files that are missing', 'put them there, or take them out of the annotations')
NO_FILE = Issue('entries that are no regular files (folders, pipes, devices)', 'put the files themselves there')
EMPTY = Issue('files of 0 bytes', 'copy them again')
DAMAGED = Issue('images that cannot be read', 'copy or convert them again, or take them out')
TOO_LARGE = Issue(f'images of more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels by their headers', 'cut them into tiles')
OTHER_SIZE = Issue('images of another size than their annotations say', 'correct width and height, or the files')
ROTATED_AWAY = Issue(
    'images that their EXIF orientation turns away from their annotations',
    'add mmgcvit.ApplyExifAsAnnotated after LoadImageFromFile, or remove the tag',
)


def problem_of(path: str) -> Issue | None:
    """Why a file cannot be read, without opening it."""
    try:
        status = os.stat(path)  # noqa: PTH116  (a Path for each of a hundred thousand files takes longer)
    except OSError:
        return MISSING
    if not stat.S_ISREG(status.st_mode):
        return NO_FILE
    return EMPTY if status.st_size == 0 else None


def find_missing(place: str, paths: Iterable[str], report: Report) -> set[str]:
    """Report and return the files that are missing; each folder is listed once."""
    split = {path: os.path.split(path) for path in paths}
    names = {folder: set(os.listdir(folder or '.')) for folder, _ in split.values() if Path(folder or '.').is_dir()}  # noqa: PTH208
    missing = [path for path, (folder, name) in split.items() if name not in names.get(folder, ())]
    report.add(MISSING, place, missing)
    return {*missing}


@dataclass(frozen=True)
class ImageFile:
    """An image file; its annotated width and height, and its segmentation map, where there are such."""

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


def loader_of(settings: ConfigDict) -> Loader:
    """How a data set's pipeline decodes images."""
    steps = {type_name(step): step for step in steps_of(settings)}
    step = steps.get('LoadImageFromFile', {})
    return Loader(
        step.get('color_type', 'color'), step.get('imdecode_backend') or 'cv2', 'ApplyExifAsAnnotated' in steps
    )


def check_image(image: ImageFile, loader: Loader) -> tuple[tuple[int, int] | None, list[tuple[Issue, str]]]:
    """Decode an image: its width and height as loaded, None if it cannot be; and its issues."""
    path = image.path
    issue = problem_of(path)
    if issue is not None:
        return None, [(issue, path)]
    content = Path(path).read_bytes()
    try:
        # Pillow rejects truncated JPEG files that some versions of OpenCV fill up (opencv/opencv#17862); what mmcv
        # decodes is what training sees.
        with Image.open(io.BytesIO(content)) as decoded:
            stored, orientation = decoded.size, orientation_of(decoded)
            decoded.load()
        loaded = mmcv.imfrombytes(content, flag=loader.flag, backend=loader.backend)
        if loaded is None:
            raise ValueError(f'{loader.backend} cannot decode it')
    except Image.DecompressionBombError:
        return None, [(TOO_LARGE, path)]
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        return None, [(DAMAGED, f'{path} ({first_line(error)})')]
    size, annotated = loaded.shape[1::-1], image.annotated
    if annotated in (None, size):
        return size, []
    is_rotated_away = annotated == stored
    if is_rotated_away and loader.matches_annotated:
        return stored, []
    text = f'{path} is {size[0]} x {size[1]}, annotated as {annotated[0]} x {annotated[1]}'
    return size, [(ROTATED_AWAY, f'{text} (orientation {orientation})') if is_rotated_away else (OTHER_SIZE, text)]


def check_images(
    place: str,
    images: Sequence[ImageFile],
    most: int | None,
    check: Callable[[ImageFile], list[tuple[Issue, str]]],
    report: Report,
    progress: Progress,
) -> None:
    """Check images in threads: all of them, or so many random ones."""
    if most is not None and len(images) > most:
        # With a generator of its own: training's random numbers stay as they are.
        images = random.Random().sample(images, most)
    task = progress.add_task(place, total=len(images))
    with warnings.catch_warnings(), ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        # Pillow warns about odd metadata and large images.
        warnings.simplefilter('ignore')
        for issues in pool.map(check, images):
            for issue, text in issues:
                report.add(issue, place, [text])
            progress.advance(task)
