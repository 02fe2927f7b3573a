"""Decode images and segmentation maps, and read sizes from the files' headers."""

import errno
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    ExifTags,
    Image,
    ImageOps,
    ImageSequence,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
)

from ..config import get_type_name, iter_transforms
from ..errors import UserError, get_first_line
from .annotations import Size

Colour = tuple[int, int, int]  # red, green, blue
IGNORE_INDEX = 255  # the label of pixels that training and evaluation ignore
# The formats of :data:`mmgcvit.files.IMAGE_SUFFIXES`, with Pillow's names. HEIF is there only in
# programs that have registered pillow-heif. Pillow reads other formats too, whatever a file's
# suffix, and starts Ghostscript for one of them (EPS).
IMAGE_FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM', 'JPEG2000', 'AVIF', 'HEIF')
SCALE_IT = (
    'Scale all images by the same number to 0 to 255, and save them with 8 bits; from 12 bits (8 '
    'bits: no // 16): '
    'PIL.Image.fromarray((numpy.asarray(PIL.Image.open(file)) // '
    "16).astype('uint8')).save(new_file)"
)
SPLIT_IT = (
    'Save each as an image: for i, page in '
    "enumerate(PIL.ImageSequence.Iterator(PIL.Image.open(file))): page.save(f'{i}.png')"
)
# The way out where only OpenCV, which loads images for training, reads a file otherwise or not.
SAVE_PNG = "Save it as PNG: PIL.Image.open(file).save('new_file.png')"
SAVE_RGB = "Save red, green and blue only: PIL.Image.open(file).convert('RGB').save('new_file.png')"
SAVE_BANDS = (
    'Save three bands with 8 bits, for example with tifffile: '
    "PIL.Image.fromarray(tifffile.imread(file)[..., :3].astype('uint8')).save('new_file.png')"
)
# TIFF compressions that Pillow decodes and OpenCV does not.
UNREAD_COMPRESSIONS = ('zstd', 'lzma', 'webp')
TIFF_MAGIC = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
# Values of TIFF's tag ExtraSamples for transparency by which the colours are multiplied, or not.
MULTIPLIED_ALPHA = 1
SEPARATE_ALPHA = 2
# Pillow and OpenCV round differently: by at most so many levels of 255 in a file without loss, and
# on average in one with loss.
MAX_ROUNDING = 2
MAX_MEAN_ROUNDING = 4
MAX_COMPARED = 1_000_000  # so many pixels of an image are compared, in rows at equal distances
# Longer side / shorter side. Pipelines resize longer strips to a height of 0, or classifiers' to
# gigabytes.
MAX_ASPECT = 320


@dataclass(frozen=True)
class ImageSizes:
    """The (width, height) of an image."""

    stored: Size  # of its pixels in the file
    upright: Size  # after EXIF rotation


@dataclass(frozen=True)
class PixelLabels:
    """What the pixels of semantic maps stand for."""

    # The class index by the value of a pixel; IGNORE_INDEX where it is of no class.
    by_value: Mapping[int, int]
    are_colours: bool = False  # values are red * 65536 + green * 256 + blue

    @property
    def are_identical(self) -> bool:
        """Whether the values are the labels, so that maps need no conversion."""
        return not self.are_colours and all(v == label for v, label in self.by_value.items())


class ImageError(ValueError):
    """An image cannot be decoded, or training cannot use it."""


class BitDepthError(ImageError):
    """An image has more than 8 bits per channel, and would be nearly black, or has floats."""


class PagesError(ImageError):
    """An image has several pages or frames."""


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


# Pillow's limit, against small files that would fill the memory, is twice its MAX_IMAGE_PIXELS.
TOO_MANY_PIXELS = (
    'it has over 178 megapixels, which Pillow does not decode. Cut it into smaller images, or '
    'scale it down. In Python, predict an array, which has no limit: model(array, tiles=SIDE)'
)


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


def decode_image(path: Path, backend: str = 'cv2') -> ImageSizes:
    """Decode an image, and return its sizes.

    ``backend`` is mmcv's decoder that loads it for training. Raise an OSError if the file cannot be
    read, and an ImageError if it cannot be decoded or training cannot use it.
    """
    with decoder_errors():
        image = open_image(path)
    with image:
        check_pixels(image)
        if not rotates_like_pillow(image, path):
            raise ImageError(
                'its EXIF rotation would be ignored. Rotate its pixels, or convert it to JPEG or '
                'PNG'
            )
        if backend == 'cv2':
            check_decoders_agree(image, path)
        return get_sizes(image)


def check_pixels(image: Image.Image) -> None:
    """Decode an open image.

    Raise an ImageError if it cannot be decoded, has several pages, its sides or pixels cannot be
    used, or its file is of a kind that OpenCV reads otherwise than Pillow.
    """
    check_sides(*image.size)
    if isinstance(image, PpmImagePlugin.PpmImageFile):
        check_ppm(image)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        check_tiff(image)
    if (image.format, image.mode) == ('JPEG2000', 'CMYK'):
        raise ImageError(
            'it is JPEG 2000 with four colours (CMYK), which OpenCV does not read. Save it in RGB'
        )
    if image.mode == 'LAB':
        raise ImageError(
            'it has the colour space LAB, which OpenCV converts wrongly. Save it in RGB'
        )
    num_pages = count_pages(image)
    if num_pages > 1:
        raise PagesError(f'it has {num_pages} pages or frames. {SPLIT_IT}')
    # Pillow decodes colours of 16 bits to 8 bits. Only the first tile's raw mode, such as RGB;16B,
    # tells so.
    is_deep = image.mode[0] in 'IF' or ';16' in str(getattr(image, 'tile', ())[:1])
    with decoder_errors():
        image.load()
    if is_deep:
        if (image.mode, image.format) == ('I', 'TIFF'):
            raise BitDepthError(f'it has 32 bits per channel. {SCALE_IT}')
        num_colours = len(image.getbands()) - ('A' in image.getbands())
        check_values(np.atleast_3d(np.asarray(image))[..., :num_colours])
    if is_transparent_tiff(image, SEPARATE_ALPHA):
        raise ImageError(
            'its fourth band is marked as transparency (unassociated alpha), by which OpenCV '
            f'multiplies the colours. If it is near infrared or the like, or not needed: {SAVE_RGB}'
        )


def check_ppm(image: PpmImagePlugin.PpmImageFile) -> None:
    """Raise an ImageError for a PGM or PPM file whose numbers OpenCV does not scale.

    It ignores which number is white: that of 10 bits becomes 3 of 255.
    """
    decoder, *_, arguments = image.tile[0]
    if decoder == 'ppm':
        raise ImageError(
            f'its white is {arguments[1]}, not 255 or 65535, and OpenCV does not scale it. '
            f'{SAVE_PNG}'
        )
    if decoder == 'ppm_plain' and image.mode != '1':
        raise ImageError(f'its numbers are written as text, which OpenCV does not read. {SAVE_PNG}')


def check_tiff(image: TiffImagePlugin.TiffImageFile) -> None:
    """Raise an ImageError for a TIFF file of a kind that OpenCV does not read, or reads otherwise
    than Pillow.
    """
    compression = image.info.get('compression')
    if compression in UNREAD_COMPRESSIONS:
        raise ImageError(f'it is compressed with {compression}, which OpenCV lacks. {SAVE_PNG}')
    num_bands = image.tag_v2.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    if num_bands > 4:
        raise ImageError(f'it has {num_bands} bands. {SAVE_BANDS}')
    if is_inverted(image) and image.mode[0] == 'I':
        raise ImageError(
            'its white is 0 in 16 bits (PhotometricInterpretation 0), which Pillow ignores. Save '
            'it with 0 for black'
        )


def is_inverted(image: Image.Image) -> bool:
    """Return whether an open image is a TIFF file in which 0 is white, as with ImageJ's inverting
    LUT.
    """
    tags = getattr(image, 'tag_v2', {})
    return tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0


def is_transparent_tiff(image: Image.Image, kind: int) -> bool:
    """Return whether a decoded image is a TIFF file of which some pixels are transparent.

    ``kind`` is the value of ExtraSamples: :data:`MULTIPLIED_ALPHA` or :data:`SEPARATE_ALPHA`. With
    another value or none, the fourth band is no transparency.
    """
    if (image.format, image.mode) != ('TIFF', 'RGBA'):
        return False
    extra = getattr(image, 'tag_v2', {}).get(TiffImagePlugin.EXTRASAMPLES, ())
    is_of_kind = kind in (extra if isinstance(extra, tuple) else (extra,))
    return is_of_kind and int(np.asarray(image.getchannel('A')).min()) < 255


def convert_pillow(image: Image.Image) -> NDArray[np.uint8 | np.uint16]:
    """Return the pixels of a Pillow image (height, width, 3) in BGR order, or (height, width) of 16
    bits, after EXIF rotation, as OpenCV loads its file.

    It has passed :func:`check_pixels`.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode[0] == 'I':  # of 16 bits, which Pillow's conversion would clip
        return np.asarray(upright).astype(np.uint16)
    return np.asarray(upright.convert('RGB'))[..., ::-1]


def check_decoders_agree(image: Image.Image, path: Path) -> None:
    """Raise an ImageError if OpenCV, which loads images for training, does not decode the file of a
    decoded Pillow image, or to other pixels.

    JPEG and PNG files are not compared: both decode them alike. Nor are transparent GIF and TIFF
    files (:func:`is_put_on_background`).
    """
    is_common = image.format in ('JPEG', 'MPO', 'PNG')
    if is_common or is_put_on_background(image):
        return
    import cv2  # imported here, because common images do not need it

    content = np.fromfile(path, np.uint8)
    with decoder_errors():
        loaded = cv2.imdecode(content, cv2.IMREAD_COLOR)
    if loaded is None:
        raise ImageError(f'OpenCV cannot decode it. {SAVE_PNG}')
    step = ceil(loaded.shape[0] * loaded.shape[1] / MAX_COMPARED)
    with decoder_errors():
        pixels = convert_pillow(image)[::step]
    if pixels.dtype == np.uint16:
        pixels = np.repeat((pixels >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if not is_same(pixels, loaded[::step], is_lossy(image)):
        raise ImageError(f'Pillow and OpenCV decode it to other pixels. {SAVE_PNG}')


def is_put_on_background(image: Image.Image) -> bool:
    """Return whether the file of a decoded image is on a background for OpenCV, and not for Pillow.

    Pillow divides colours that are multiplied by alpha by it.
    """
    is_transparent_gif = image.format == 'GIF' and 'transparency' in image.info
    return is_transparent_gif or is_transparent_tiff(image, MULTIPLIED_ALPHA)


def is_lossy(image: Image.Image) -> bool:
    """Return whether the pixels of an open image depend on how its decoder rounds."""
    is_of_jpeg = image.info.get('compression') in ('jpeg', 'tiff_jpeg')
    return is_of_jpeg or image.format in ('WEBP', 'JPEG2000', 'AVIF', 'HEIF')


def is_same(pixels: NDArray[Any], others: NDArray[Any], are_lossy: bool) -> bool:
    """Return whether two arrays of pixels, of uint8, are the same but for rounding."""
    if pixels.shape != others.shape:
        return False
    differences = np.maximum(pixels, others) - np.minimum(pixels, others)
    if are_lossy:
        return differences.mean() <= MAX_MEAN_ROUNDING
    return differences.max() <= MAX_ROUNDING


def check_sides(width: int, height: int) -> None:
    """Raise an ImageError if an image is too long (:data:`MAX_ASPECT`)."""
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            f'it is {width} x {height}, one side over {MAX_ASPECT} times the other. Cut it, or pad '
            'it'
        )


def check_values(pixels: NDArray[Any]) -> None:
    """Raise a BitDepthError for floats, for over 16 bits, and for 12 bits stored in 16.

    Training and prediction keep the upper 8 of 16 bits. Of 12 bits that leaves four, values up to
    15, so the image would be nearly black. ``pixels`` of 8 bits are such upper bits: Pillow has cut
    the lower ones off.
    """
    highest = pixels.max()
    dark = 15 if pixels.dtype == np.uint8 else 4095  # the highest value of 12 bits
    if pixels.dtype.kind == 'f' or pixels.min() < 0 or highest >= 2**16:
        raise BitDepthError(f'it has floats or 32 bits per channel. {SCALE_IT}')
    if 0 < highest <= dark:
        raise BitDepthError(
            f'it has 16 bits, but no value above 4095, so it would be nearly black. {SCALE_IT}'
        )


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
        # The tag NewSubfileType: bit 0 is for smaller copies, bit 2 for masks.
        num_pages = sum(not page.tag_v2.get(254, 0) & 5 for page in ImageSequence.Iterator(image))
        image.seek(begin)
    return num_pages


def rotates_like_pillow(image: Image.Image, path: Path) -> bool:
    """Return whether OpenCV, which loads images for training, applies the rotation that Pillow
    reads; True for upright images.

    OpenCV 4.12 ignores the rotation of WEBP and AVIF files, and that in XMP data and in PNG's raw
    profiles. Images of 128 pixels or more are compared in an eighth of their size, because this is
    faster for JPEG files. Return True also for an image that OpenCV cannot decode.
    """
    orientation = read_orientation(image)
    if orientation == 1 or image.format == 'TIFF':  # both rotate TIFF files
        return True
    import cv2  # imported here, because upright images do not need it

    flag = cv2.IMREAD_REDUCED_GRAYSCALE_8 if min(image.size) >= 128 else cv2.IMREAD_GRAYSCALE
    buffer = np.fromfile(path, np.uint8)
    with decoder_errors():
        rotated = cv2.imdecode(buffer, flag)
        stored = cv2.imdecode(buffer, flag | cv2.IMREAD_IGNORE_ORIENTATION)
    if stored is None:
        return True
    upright = Image.fromarray(stored)
    upright.getexif()[ExifTags.Base.Orientation] = orientation
    return np.array_equal(rotated, ImageOps.exif_transpose(upright))


@dataclass(frozen=True)
class DecodingSettings:
    """How a pipeline decodes images: arguments of mmcv's ``imfrombytes``, and the treatment of EXIF
    rotation.
    """

    flag: str = 'color'
    backend: str = 'cv2'
    # Whether the pipeline has mmgcvit.ApplyExifAsAnnotated, which skips EXIF rotation if the
    # annotations are unrotated.
    matches_annotated_size: bool = False

    @property
    def applies_rotation(self) -> bool:
        """Whether mmcv applies an image's EXIF rotation, if it decodes it so."""
        return self.backend in ('cv2', 'pillow') and self.flag in ('color', 'grayscale')


def get_decoding_settings(settings: Mapping[str, Any]) -> DecodingSettings:
    """Return the settings with which a dataset's pipeline decodes images."""
    transforms = {get_type_name(transform): transform for transform in iter_transforms(settings)}
    load = transforms.get('LoadImageFromFile', {})
    return DecodingSettings(
        flag=load.get('color_type', 'color'),
        backend=load.get('imdecode_backend') or 'cv2',
        matches_annotated_size='ApplyExifAsAnnotated' in transforms,
    )


def load_image(path: Path, decoding: DecodingSettings) -> tuple[NDArray[np.uint8], Size]:
    """Decode an image file as a data pipeline does. Return it, and its (width, height) as stored.

    Pillow decodes the file first, because it rejects decompression bombs and truncated files, which
    OpenCV fills with grey (opencv/opencv#17862). Raise errors as :func:`decode_image` does.
    """
    # Imported here, because reading most folders needs only Pillow.
    import mmcv

    sizes = decode_image(path, decoding.backend)
    content = path.read_bytes()
    with decoder_errors():
        loaded = mmcv.imfrombytes(content, flag=decoding.flag, backend=decoding.backend)
    if loaded is None:
        raise ImageError(f'{decoding.backend} cannot decode it')
    return loaded, sizes.stored


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


def check_map_size(labels: NDArray[np.integer], path: Path, image: Path) -> None:
    """Raise a UserError if the labels in a map, which were read from ``path``, have another size
    than its image.
    """
    height, width = labels.shape
    image_width, image_height = read_sizes(image).upright
    if (width, height) != (image_width, image_height):
        raise UserError(
            f'{path} is {width} x {height}, but its image is {image_width} x {image_height}'
        )


def read_values(path: Path, are_colours: bool) -> NDArray[np.integer]:
    """Return the values of pixels (height, width) of a semantic map, as :class:`PixelLabels` says.

    Raise a UserError for unreadable files.
    """
    if not are_colours:
        return read_segmentation_map(path)
    with open_or_reject(path) as image:
        with decoder_errors():
            colours = np.asarray(image.convert('RGB'))
        return colours @ np.array([65536, 256, 1])


def read_palette(path: Path) -> list[Colour]:
    """Return the colours (red, green, blue) of an indexed image's numbers, or an empty list for
    another image.

    Raise a UserError for unreadable files.
    """
    with open_or_reject(path) as image:
        with decoder_errors():
            image.load()
        values = image.getpalette() if image.mode == 'P' else None
    values = values or []
    return list(zip(values[::3], values[1::3], values[2::3], strict=False))


def read_labels(path: Path, labels: PixelLabels) -> NDArray[np.uint8]:
    """Return the class indices (height, width) of a semantic map.

    Raise a UserError for a value that has none.
    """
    pixels = read_values(path, labels.are_colours)
    values, places = np.unique(pixels, return_inverse=True)
    indices = [labels.by_value.get(value) for value in values.tolist()]
    if None in indices:
        raise UserError(f'{path} has colours or values of no class')
    return np.array(indices, np.uint8)[places].reshape(pixels.shape)


def read_segmentation_map(path: Path, with_instances: bool = False) -> NDArray[np.integer]:
    """Return labels (height, width) from a file of one channel, of 8 bits, or up to 32 with
    ``with_instances``.

    Raise a UserError for other files.
    """
    with open_or_reject(path) as image:
        if count_pages(image) > 1:
            raise ImageError('it has several pages. Save each as a file')
        if is_inverted(image):
            raise ImageError(
                'white is 0 in it (PhotometricInterpretation 0, of ImageJ with an inverting LUT or '
                'of tifffile for True and False), so its numbers are read inverted or not. Save '
                'them as PNG'
            )
        if re.search("'L;[24]", str(image.tile)):
            raise ImageError(
                'it is grey with 2 or 4 bits, which decoders scale to 0 to 255. Save it with 8 bits'
            )
        with decoder_errors():
            labels = np.array(image)
        # Pillow reads 32 bits without a sign as ones with a sign.
        if labels.dtype.kind == 'i' and labels.min() < 0:
            raise ImageError(
                'it has numbers under 0 or over 2147483647. Number objects from 1, classes from 0 '
                'on'
            )
        has_8_bits = image.mode in ('1', 'L', 'P')
        if not has_8_bits and not (with_instances and image.mode[0] == 'I'):
            raise ImageError(
                f'it has the mode {image.mode}. A semantic map must have one channel of 8 bits '
                'with class indices, and a map of instances one of 8 to 32 bits'
            )
        if 1 in image.size:  # mmseg would drop this axis
            raise ImageError('each side must have at least 2 pixels')
    return labels.astype(np.uint8) if has_8_bits else labels
