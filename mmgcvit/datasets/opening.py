"""Open images, and read their sizes and pages from the files' headers."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, ImageSequence, TiffImagePlugin, UnidentifiedImageError

from ..errors import UserError, get_first_line
from .annotations import Size

# The formats of :data:`mmgcvit.host.files.IMAGE_SUFFIXES`, with Pillow's names. HEIF is there only
# in programs that have registered pillow-heif. Pillow reads other formats too, whatever a file's
# suffix, and starts Ghostscript for one of them (EPS).
IMAGE_FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM', 'JPEG2000', 'AVIF', 'HEIF')
SAVE_BANDS = (
    'Save three bands with 8 bits, for example with tifffile: '
    "PIL.Image.fromarray(tifffile.imread(file)[..., :3].astype('uint8')).save('new_file.png')"
)
# TIFF's tag for the kind of a page, and its bits
NEW_SUBFILE_TYPE = 254
SMALLER_COPY = 1
MASK = 4
TIFF_MAGIC = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
# Pillow's limit, against small files that would fill the memory, is twice its MAX_IMAGE_PIXELS.
TOO_MANY_PIXELS = (
    'it has over 178 megapixels, which Pillow does not decode. Cut it into smaller images, or '
    'scale it down. In Python, predict an array, which has no limit: model(array, tiles=SIDE)'
)


@dataclass(frozen=True)
class ImageSizes:
    """The (width, height) of an image."""

    stored: Size  # of its pixels in the file
    upright: Size  # after EXIF rotation


class ImageError(ValueError):
    """An image cannot be decoded, or training cannot use it."""


def open_image(path: Path) -> Image.Image:
    """Open an image of one of :data:`IMAGE_FORMATS`, without decoding its pixels.

    Raise an OSError for other files, and an ImageError for TIFF files with bands, bits or a
    compression that Pillow does not know.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        # Opening a pipe would wait for its writer.
        raise OSError(errno.EINVAL, 'Not a file', str(path))
    Image.init()
    formats = [name for name in IMAGE_FORMATS if name in Image.OPEN]
    try:
        return Image.open(path, formats=formats)
    except UnidentifiedImageError as error:
        if not has_tiff_magic(path):
            raise
        raise ImageError(
            f'Pillow does not know its number of bands, bits or compression. {SAVE_BANDS}'
        ) from error


def has_tiff_magic(path: Path) -> bool:
    """Return whether a file begins as TIFF files do."""
    with path.open('rb') as file:
        return file.read(4) in TIFF_MAGIC


@contextmanager
def decoder_errors() -> Iterator[None]:
    """Raise an ImageError where Pillow or OpenCV fails.

    On damaged files, they raise errors of any class. So the block has only calls of them: a fault
    in code of this package is not a fault of a file. Errors of the file system are raised as they
    are.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise ImageError(get_first_line(error)) from error
    except Image.DecompressionBombError as error:
        raise ImageError(TOO_MANY_PIXELS) from error
    except Exception as error:
        raise ImageError(get_first_line(error)) from error


@contextmanager
def open_or_reject(path: Path) -> Iterator[Image.Image]:
    """Open an image. Raise a UserError if the file cannot be read, and for the ImageErrors of the
    block of the with statement.
    """
    try:
        with decoder_errors():
            image = open_image(path)
        with image:
            yield image
    except (OSError, ImageError) as error:
        raise UserError(f'{path} cannot be read ({get_first_line(error)})') from error


def read_sizes(path: Path) -> ImageSizes:
    """Return the sizes of an image. Raise a UserError for unreadable files."""
    with open_or_reject(path) as image:
        return get_sizes(image)


def get_sizes(image: Image.Image) -> ImageSizes:
    """Return the sizes of an open image."""
    width, height = image.size
    # Orientations 5 to 8 swap width and height. Pillow has already swapped those of a TIFF file.
    is_swapped = read_orientation(image) >= 5 and image.format != 'TIFF'
    upright = (height, width) if is_swapped else (width, height)
    return ImageSizes(stored=(width, height), upright=upright)


def read_orientation(image: Image.Image) -> int:
    """Return an image's EXIF orientation, 1 to 8. 1 is upright, as are images with other values."""
    # Pillow raises errors of any class on damaged metadata. mmcv decodes such images without
    # rotation.
    with suppress(Exception):
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
        if 1 <= orientation <= 8:
            return orientation
    return 1


def count_pages(image: Image.Image) -> int:
    """Return the number of pages or frames of an open image, without the smaller copies and masks
    in TIFF files.
    """
    with decoder_errors():
        num_frames = getattr(image, 'n_frames', 1)
    # JPEG and HEIF files of cameras may have previews and depth maps behind the photo.
    if num_frames == 1 or image.format in ('MPO', 'HEIF'):
        return 1
    if image.format != 'TIFF':
        return num_frames
    with decoder_errors():
        begin = image.tell()
        pages = ImageSequence.Iterator(image)  # of one object, whose tags are those of the page
        kinds = [getattr(page, 'tag_v2', {}).get(NEW_SUBFILE_TYPE, 0) for page in pages]
        num_pages = sum(not kind & (SMALLER_COPY | MASK) for kind in kinds)
        image.seek(begin)
    return num_pages


def is_inverted(image: Image.Image) -> bool:
    """Return whether an open image is a TIFF file in which 0 is white, as with ImageJ's inverting
    LUT.
    """
    tags = getattr(image, 'tag_v2', {})
    return tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0


def get_raw_mode(image: Image.Image) -> str:
    """Return how Pillow will read the pixels of an open image that is not decoded yet, such as
    ``RGB;16B``, or '' for a format that does not say it.
    """
    tiles = getattr(image, 'tile', None)
    if not tiles:
        return ''
    arguments = tiles[0][-1]
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ''
