"""Whether OpenCV, which loads images for training, decodes a file as Pillow does."""

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

from .opening import ImageError, decoder_errors, read_orientation

# The way out where only OpenCV, which loads images for training, reads a file otherwise or not.
SAVE_PNG = "Save it as PNG: PIL.Image.open(file).save('new_file.png')"
# Values of TIFF's tag ExtraSamples for transparency by which the colours are multiplied, or not.
MULTIPLIED_ALPHA = 1
SEPARATE_ALPHA = 2
# Pillow and OpenCV round differently: by at most so many levels of 255 in a file without loss, and
# on average in one with loss.
MAX_ROUNDING = 2
MAX_MEAN_ROUNDING = 4
MAX_COMPARED = 1_000_000  # so many pixels of an image are compared, in rows at equal distances


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


def convert_pillow(image: Image.Image) -> NDArray[np.uint8 | np.uint16]:
    """Return the pixels of a Pillow image (height, width, 3) in BGR order, or (height, width) of 16
    bits, after EXIF rotation, as OpenCV loads its file.

    It has passed :func:`.decoding.check_pixels`.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode[0] == 'I':  # of 16 bits, which Pillow's conversion would clip
        return np.asarray(upright).astype(np.uint16)
    return np.asarray(upright.convert('RGB'))[..., ::-1]


def is_put_on_background(image: Image.Image) -> bool:
    """Return whether the file of a decoded image is on a background for OpenCV, and not for Pillow.

    Pillow divides colours that are multiplied by alpha by it.
    """
    is_transparent_gif = image.format == 'GIF' and 'transparency' in image.info
    return is_transparent_gif or is_transparent_tiff(image, MULTIPLIED_ALPHA)


def is_transparent_tiff(image: Image.Image, kind: int) -> bool:
    """Return whether a decoded image is a TIFF file of which some pixels are transparent.

    ``kind`` is the value of ExtraSamples: :data:`MULTIPLIED_ALPHA` or :data:`SEPARATE_ALPHA`. With
    another value or none, the fourth band is not transparency.
    """
    if (image.format, image.mode) != ('TIFF', 'RGBA'):
        return False
    extra = getattr(image, 'tag_v2', {}).get(TiffImagePlugin.EXTRASAMPLES, ())
    is_of_kind = kind in (extra if isinstance(extra, tuple) else (extra,))
    return is_of_kind and int(np.asarray(image.getchannel('A')).min()) < 255


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


def rotates_like_pillow(image: Image.Image, path: Path) -> bool:
    """Return whether OpenCV, which loads images for training, applies the rotation that Pillow
    reads; True for upright images.

    OpenCV 4.12 ignores the rotation of WEBP and AVIF files (5.0 applies that of WEBP), and that in
    XMP data and in PNG's raw profiles. Images of 128 pixels or more are compared in an eighth of
    their size, because this is faster for JPEG files. Return True also for an image that OpenCV
    cannot decode.
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
    expected = np.asarray(ImageOps.exif_transpose(upright))
    return rotated is not None and np.array_equal(rotated, expected)
