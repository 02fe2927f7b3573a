"""One image file: whether it can be read, how large it is, and what loading makes of it."""

import io
from dataclasses import dataclass
from pathlib import Path

import mmcv
from mmengine.config import ConfigDict
from PIL import ExifTags, Image

from .files import problem_of
from .headers import announced_pixels
from .problems import Kind, Outcome
from .sources import steps_of

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
        return None, [(DAMAGED, f'{picture.path} ({in_a_line(error)})')]


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


def in_a_line(error: Exception) -> str:
    """An error's first line, without the bytes that Pillow names its source by."""
    text = str(error) or type(error).__name__
    return 'no image' if text.startswith('cannot identify') else text.splitlines()[0]


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
