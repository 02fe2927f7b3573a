"""Image files: whether they are there, how large they are, and what loading makes of them."""

import io
import os
import random
import stat
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import mmcv
from mmengine.config import ConfigDict
from PIL import Image
from rich.progress import Progress

from ...errors import first_line
from ...files import IMAGE_ENDINGS as ENDINGS
from ..headers import orientation_of
from .problems import Kind, Outcome, Problem, Report
from .sources import steps_of, type_name

# Pillow's own limit.
MOST_PIXELS = 2 * Image.MAX_IMAGE_PIXELS
# Pillow and OpenCV decode outside of Python's lock; each thread holds an image or two.
MOST_THREADS = 16

MISSING = Kind('files that are missing', 'put them there, or take them out of the annotations')
NO_FILE = Kind('entries that are no regular files (folders, pipes, devices)', 'put the files themselves there')
EMPTY = Kind('files of 0 bytes', 'copy them again')
NOT_LISTED = Kind(
    'images that the data set does not list, for their endings, places or kinds of file',
    'look at the endings that the config names (img_suffix, extensions), and whether they lie in a folder of a class',
    Outcome.LEFT_OUT,
)
DAMAGED = Kind('images that cannot be read', 'copy or convert them again, or take them out')
TOO_LARGE = Kind(
    f'images of more than {MOST_PIXELS:,} pixels by their headers',
    'cut them into tiles: they are not decoded, which would take gigabytes',
)
OTHER_SIZE = Kind('images of another size than their annotations say', 'correct width and height, or the files')
ROTATED_AWAY = Kind(
    'images that their EXIF orientation turns away from their annotations',
    "load them as they are stored, LoadImageFromFile(color_type='color_ignore_orientation'), or remove the tag",
)
LEFT_AS_STORED = Kind(
    'images that their annotations take as stored, against their EXIF orientation',
    'mmgcvit.ApplyExifAsAnnotated does not turn them',
    Outcome.REPAIRED,
)
ROTATED = Kind(
    'images with an EXIF orientation', 'loading turns them upright, as their annotations must be', Outcome.REPAIRED
)
# In a PNG file, after the signature and the head of its first chunk: width, height, then bits per channel.
PNG_BIT_DEPTH = 24
# What of an image's pixels loading changes, and whether an image of Pillow's, and of these bytes, has it; the first
# that fits is said.
PIXELS = {
    # Pillow reads colour of 16 bits as of eight.
    Kind('images of 16 bits and more', 'loading keeps the upper eight bits of each value', Outcome.REPAIRED): (
        lambda image, content: image.mode[0] in 'IF' or (image.format == 'PNG' and content[PNG_BIT_DEPTH] > 8)
    ),
    Kind('CMYK images', 'loading makes them RGB', Outcome.REPAIRED): lambda image, _: image.mode == 'CMYK',
    Kind('images with an alpha channel', 'loading drops the channel', Outcome.REPAIRED): (
        lambda image, _: 'A' in image.getbands() or 'transparency' in image.info
    ),
    Kind('grayscale images', 'loading repeats the channel three times', Outcome.REPAIRED): (
        lambda image, _: image.mode in ('1', 'L')
    ),
}


def problem_of(path: str) -> Kind | None:
    """Why a file cannot be read, without opening it."""
    try:
        status = os.stat(path)  # noqa: PTH116  (a Path for each of a hundred thousand files takes longer)
    except OSError:
        return MISSING
    if not stat.S_ISREG(status.st_mode):
        return NO_FILE
    return EMPTY if status.st_size == 0 else None


def is_too_large(path: str) -> bool:
    """Whether a file's header announces more pixels than are decoded; no other problem is looked for."""
    try:
        with Image.open(path):
            return False
    except Image.DecompressionBombError:
        return True
    # Decoders raise errors of any class on damaged files; that the file is damaged is for others to say.
    except Exception:
        return False


def check_presence(place: str, paths: Iterable[str], report: Report) -> frozenset[str]:
    """Report, and return, the files that are missing or no regular files; each folder is read once."""
    paths_by_folder = defaultdict(list)
    for path in paths:
        paths_by_folder[os.path.dirname(path)].append(path)  # noqa: PTH120  (as os.stat above)
    missing, no_files = [], []
    for folder, named in paths_by_folder.items():
        is_file = {}
        if Path(folder or '.').is_dir():
            with os.scandir(folder or '.') as entries:
                is_file = {os.path.join(folder, entry.name): entry.is_file() for entry in entries}  # noqa: PTH118
        missing += [path for path in named if path not in is_file]
        no_files += [path for path in named if not is_file.get(path, True)]
    report.add(MISSING, place, missing)
    report.add(NO_FILE, place, no_files)
    return frozenset(missing + no_files)


def check_all_listed(place: str, folder: str, listed: Collection[str], report: Report) -> None:
    """Report images in a folder, hidden ones aside, that a data set leaves out which lists what it finds there."""
    listed = frozenset(listed)
    found = (
        os.path.join(parent, name)  # noqa: PTH118  (as the hosts join them)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(ENDINGS) and not name.startswith('.')
    )
    report.add(NOT_LISTED, place, [path for path in found if path not in listed])


@dataclass(frozen=True)
class Picture:
    """An image file; its width and height as annotated, and the file of its labels per pixel, where it has such."""

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


def look_at(picture: Picture, loader: Loader) -> tuple[tuple[int, int] | None, list[Problem]]:
    """Decode an image wholly: its width and height as loaded, None if it cannot be; and its problems."""
    path = picture.path
    problem = problem_of(path)
    if problem is not None:
        return None, [(problem, path)]
    content = Path(path).read_bytes()
    try:
        # Both decoders are asked: Pillow refuses cut JPEG files that some versions of OpenCV fill up
        # (opencv/opencv#17862); what mmcv makes of an image is what training sees.
        with Image.open(io.BytesIO(content)) as image:
            stored, orientation = image.size, orientation_of(image)
            image.load()
        loaded = mmcv.imfrombytes(content, flag=loader.flag, backend=loader.backend)
        if loaded is None:
            raise ValueError(f'{loader.backend} cannot decode it')
    except Image.DecompressionBombError:
        return None, [(TOO_LARGE, path)]
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        return None, [(DAMAGED, f'{path} ({first_line(error)})')]
    annotated, size, turned = picture.annotated, loaded.shape[1::-1], f'{path} (orientation {orientation})'
    is_turned_away = annotated == stored != size
    if loader.matches_annotated and is_turned_away:
        return stored, [(LEFT_AS_STORED, turned)]
    problems = [(kind, path) for kind, has_it in PIXELS.items() if has_it(image, content)][:1]
    if annotated not in (None, size):
        words = f'{path} is {in_pixels(size)}, annotated as {in_pixels(annotated)}'
        problems.append((ROTATED_AWAY if is_turned_away else OTHER_SIZE, words))
    turns_upright = loader.flag in ('color', 'grayscale') and loader.backend in ('cv2', 'pillow')
    if orientation != 1 and turns_upright and not is_turned_away:
        problems.append((ROTATED, turned))
    return size, problems


def in_pixels(size: tuple[int, int]) -> str:
    """A width and height in words."""
    return f'{size[0]} x {size[1]}'


def open_some(
    place: str,
    pictures: Sequence[Picture],
    most: int | None,
    look: Callable[[Picture], list[Problem]],
    report: Report,
    progress: Progress,
) -> Sequence[Picture]:
    """Look at pictures in threads: at all of them, or at so many, chosen by chance; returns these."""
    if most is not None and len(pictures) > most:
        # The training's own random numbers are not touched.
        pictures = random.Random().sample(pictures, most)
    task = progress.add_task(place, total=len(pictures))
    with warnings.catch_warnings(), ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        # Pillow's, of odd metadata and large images.
        warnings.simplefilter('ignore')
        for problems in pool.map(look, pictures):
            for kind, words in problems:
                report.add(kind, place, [words])
            progress.advance(task)
    return pictures
