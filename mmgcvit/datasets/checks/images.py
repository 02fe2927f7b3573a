"""How many pixels the first bytes of a PNG or JPEG file announce.

Every image is asked in every epoch, and Pillow takes several times as long to say it. Where the first bytes do not tell
plainly there is no answer, and Pillow is to be asked.
"""

import io
import os
import random
import stat
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

import mmcv
from mmengine.config import ConfigDict
from PIL import ExifTags, Image
from rich.progress import Progress

from ...errors import first_line
from .problems import Kind, Outcome, Report
from .sources import steps_of

PNG_START = b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR'
JPEG_START = b'\xff\xd8'
# SOF0 to SOF15; three of these numbers are none: tables of codes (DHT, DAC) and a reserved one.
FRAMES = frozenset(range(0xFFC0, 0xFFD0)) - {0xFFC4, 0xFFC8, 0xFFCC}
# Other segments before the frame: tables, restart intervals, what applications add, comments.
SEGMENTS = frozenset((0xFFC4, 0xFFCC, 0xFFDB, 0xFFDD, *range(0xFFE0, 0xFFF0), 0xFFFE))
# Width and height of a PNG file. Marker and length of a JPEG segment. Of a frame also bits, height and width.
SIZE, SEGMENT, FRAME = Struct('>II'), Struct('>HH'), Struct('>HHBHH')


def announced_pixels(head: bytes) -> int | None:
    """The product of width and height that a file's header names.

    Args:
        head: The file's first bytes, of any number.

    Returns:
        None if it is neither PNG nor JPEG, or its header does not tell plainly.
    """
    if head.startswith(PNG_START) and len(head) >= len(PNG_START) + SIZE.size:
        width, height = SIZE.unpack_from(head, len(PNG_START))
        return width * height
    return pixels_of_jpeg(head) if head.startswith(JPEG_START) else None


def pixels_of_jpeg(head: bytes) -> int | None:
    """The same of a JPEG file, None also where segments are not those that every decoder passes over."""
    place = len(JPEG_START)
    while place + FRAME.size <= len(head):
        marker, length = SEGMENT.unpack_from(head, place)
        if marker in FRAMES:
            *_, height, width = FRAME.unpack_from(head, place)
            return height * width
        # A segment's length counts itself, not the marker.
        if marker not in SEGMENTS or length < 2:
            return None
        place += 2 + length
    return None


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


# Pillow's own limit.
MOST_PIXELS = 2 * Image.MAX_IMAGE_PIXELS
# Bytes of a file in which its header is looked for first: those of most, but for photographs with much added to them.
HEAD = 4096
DAMAGED = Kind('images that cannot be read', Outcome.STOPS, 'copy or convert them again, or take them out')
TOO_LARGE = Kind(
    f'images of more than {MOST_PIXELS:,} pixels by their headers',
    Outcome.STOPS,
    'cut them into tiles: they are not decoded, which would take gigabytes',
)
OTHER_SIZE = Kind(
    'images of another size than their annotations say', Outcome.STOPS, 'correct width and height, or the files'
)
ROTATED_AWAY = Kind(
    'images that their EXIF orientation turns away from their annotations',
    Outcome.STOPS,
    "load them as they are stored, LoadImageFromFile(color_type='color_ignore_orientation'), or remove the tag",
)
LEFT_AS_STORED = Kind(
    'images that their annotations take as stored, against their EXIF orientation',
    Outcome.REPAIRED,
    'mmgcvit.MatchAnnotatedSize does not turn them',
)
ROTATED = Kind(
    'images with an EXIF orientation', Outcome.REPAIRED, 'loading turns them upright, as their annotations must be'
)
GRAYSCALE = Kind('grayscale images', Outcome.REPAIRED, 'loading repeats the channel three times')
SIXTEEN_BIT = Kind('images of 16 bits and more', Outcome.REPAIRED, 'loading keeps the upper eight bits of each value')
CMYK = Kind('CMYK images', Outcome.REPAIRED, 'loading makes them RGB')
ALPHA = Kind('images with an alpha channel', Outcome.REPAIRED, 'loading drops the channel')

UPRIGHT = 1
# In a PNG file, after the signature and the head of its first chunk: width, height, then bits per channel.
PNG_BIT_DEPTH = 24


@dataclass(frozen=True)
class Picture:
    """An image file and what else is said of it.

    Attributes:
        path: The file.
        annotated: Width and height as the annotations have them, where they do.
        labels: The file of its labels per pixel, where there is one.
    """

    path: str
    annotated: tuple[int, int] | None = None
    labels: str | None = None


@dataclass(frozen=True)
class Loader:
    """How a pipeline loads images.

    Attributes:
        flag: As mmcv's ``imfrombytes`` takes it.
        backend: Likewise.
        matches_annotated: Whether ``mmgcvit.MatchAnnotatedSize`` follows.
    """

    flag: str = 'color'
    backend: str = 'cv2'
    matches_annotated: bool = False

    @property
    def turns_upright(self) -> bool:
        """Whether it applies the orientation that a file's EXIF data name."""
        return self.flag in ('color', 'grayscale') and self.backend in ('cv2', 'pillow')


def loader_of(settings: ConfigDict) -> Loader:
    """How a data set's pipeline decodes images."""
    steps = {str(step['type']).split('.')[-1]: step for step in steps_of(settings)}
    step = steps.get('LoadImageFromFile', {})
    return Loader(step.get('color_type', 'color'), step.get('imdecode_backend') or 'cv2', 'MatchAnnotatedSize' in steps)


# What is wrong with a file, and the file in words.
Problem = tuple[Kind, str]


def look_at(picture: Picture, loader: Loader) -> tuple[tuple[int, int] | None, list[Problem]]:
    """Decode an image wholly.

    Returns:
        Its width and height as loaded, None if it cannot be; and its problems.
    """
    problem = problem_of(picture.path)
    if problem is not None:
        return None, [(problem, picture.path)]
    content = Path(picture.path).read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as image:
            return look_into(image, content, picture, loader)
    except Image.DecompressionBombError:
        return None, [(TOO_LARGE, picture.path)]
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        return None, [(DAMAGED, f'{picture.path} ({first_line(error)})')]


def is_too_large(path: str) -> bool:
    """Whether a file's header announces more pixels than are decoded; no other problem is looked for."""
    try:
        with open(path, 'rb', buffering=0) as file:  # noqa: PTH123  (as files.problem_of)
            pixels = announced_pixels(file.read(HEAD))
        if pixels is not None:
            return pixels > MOST_PIXELS
        with Image.open(path):
            return False
    except Image.DecompressionBombError:
        return True
    # Decoders raise errors of any class on damaged files; that the file is damaged is for others to say.
    except Exception:
        return False


def look_into(
    image: Image.Image, content: bytes, picture: Picture, loader: Loader
) -> tuple[tuple[int, int], list[Problem]]:
    """What is to be said of an image that can be opened.

    Both decoders are asked: Pillow refuses cut JPEG files that some versions of OpenCV fill up (opencv/opencv#17862);
    what mmcv makes of an image is what training sees.

    Raises:
        Exception: It cannot be decoded.
    """
    orientation, stored, is_deep = orientation_of(image), image.size, has_sixteen_bits(image, content)
    image.load()
    loaded = mmcv.imfrombytes(content, flag=loader.flag, backend=loader.backend)
    if loaded is None:
        raise ValueError(f'{loader.backend} cannot decode it')
    size = (loaded.shape[1], loaded.shape[0])
    if loader.matches_annotated and problem_of_size(picture.annotated, size, stored) is ROTATED_AWAY:
        return stored, [(LEFT_AS_STORED, described(picture, LEFT_AS_STORED, size, orientation))]
    kinds = [kind_of_pixels(image, is_deep), problem_of_size(picture.annotated, size, stored)]
    if orientation != UPRIGHT and loader.turns_upright and ROTATED_AWAY not in kinds:
        kinds.append(ROTATED)
    return size, [(kind, described(picture, kind, size, orientation)) for kind in kinds if kind is not None]


def orientation_of(image: Image.Image) -> int:
    """The orientation that an image's EXIF data name, 1 for upright; upright too where they cannot be read."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    # Pillow raises errors of any class on damaged metadata; images are loaded without them.
    except Exception:
        return UPRIGHT


def problem_of_size(annotated: tuple[int, int] | None, loaded: tuple[int, int], stored: tuple[int, int]) -> Kind | None:
    """Whether the annotations speak of the image as it is loaded; sizes are width and height."""
    if annotated in (None, loaded):
        return None
    return ROTATED_AWAY if annotated == stored else OTHER_SIZE


def kind_of_pixels(image: Image.Image, is_deep: bool) -> Kind | None:
    """What of an image's pixels loading changes."""
    if is_deep:
        return SIXTEEN_BIT
    if image.mode == 'CMYK':
        return CMYK
    if 'A' in image.getbands() or 'transparency' in image.info:
        return ALPHA
    return GRAYSCALE if image.mode in ('1', 'L') else None


def has_sixteen_bits(image: Image.Image, content: bytes) -> bool:
    """Whether an image has more than eight bits per channel; Pillow reads colour of 16 bits as of eight."""
    if image.mode.startswith(('I', 'F')):
        return True
    return image.format == 'PNG' and content[PNG_BIT_DEPTH] > 8


def described(picture: Picture, kind: Kind, loaded: tuple[int, int], orientation: int) -> str:
    """An image with what concerns a problem of this kind."""
    if kind in (OTHER_SIZE, ROTATED_AWAY):
        return f'{picture.path} is {in_pixels(loaded)}, annotated as {in_pixels(picture.annotated)}'
    return f'{picture.path} (orientation {orientation})' if kind in (ROTATED, LEFT_AS_STORED) else picture.path


def in_pixels(size: tuple[int, int]) -> str:
    """A width and height in words."""
    return f'{size[0]} x {size[1]}'


# Pillow and OpenCV decode outside of Python's lock; each thread holds an image or two.
MOST_THREADS = 16


def sample_of(pictures: Sequence[Picture], most: int | None) -> Sequence[Picture]:
    """All pictures, or so many chosen by chance; the training's own random numbers are not touched."""
    if most is None or len(pictures) <= most:
        return pictures
    return random.Random().sample(pictures, most)


def open_all(
    place: str,
    pictures: Sequence[Picture],
    look: Callable[[Picture], list[Problem]],
    report: Report,
    progress: Progress,
) -> None:
    """Look at pictures in threads.

    Args:
        place: The file or folder that names them.
        pictures: The pictures.
        look: Gives a picture's problems.
        report: Gets them.
        progress: Shows how far it is.
    """
    task = progress.add_task(place, total=len(pictures))
    with warnings.catch_warnings(), ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        # Pillow's, of odd metadata and large images.
        warnings.simplefilter('ignore')
        for problems in pool.map(look, pictures):
            for kind, words in problems:
                report.add(kind, place, [words])
            progress.advance(task)
