"""Decode images as data pipelines do, and reject those that training cannot use."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PpmImagePlugin, TiffImagePlugin

from ..host.config import get_type_name
from ..host.datasets import iter_transforms
from .annotations import Size
from .decoders import (
    SAVE_PNG,
    SEPARATE_ALPHA,
    check_decoders_agree,
    is_transparent_tiff,
    rotates_like_pillow,
)
from .opening import (
    SAVE_BANDS,
    ImageError,
    ImageSizes,
    count_pages,
    decoder_errors,
    get_raw_mode,
    get_sizes,
    is_inverted,
    open_image,
)

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
SAVE_RGB = "Save red, green and blue only: PIL.Image.open(file).convert('RGB').save('new_file.png')"
# TIFF compressions that Pillow decodes and OpenCV does not.
UNREAD_COMPRESSIONS = ('zstd', 'lzma', 'webp')
# Longer side / shorter side. Pipelines resize longer strips to a height of 0, or classifiers' to
# gigabytes.
MAX_ASPECT = 320
# In so many threads, images are decoded at a time. They are enough, because Pillow and OpenCV
# release the GIL while decoding. Each thread holds one or two images.
MAX_THREADS = 16


class BitDepthError(ImageError):
    """An image has more than 8 bits per channel, and would be nearly black, or has floats."""


class PagesError(ImageError):
    """An image has several pages or frames."""


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
    # Pillow decodes colours of 16 bits to 8 bits. Only the raw mode, such as RGB;16B, tells so.
    is_deep = image.mode[0] in 'IF' or ';16' in get_raw_mode(image)
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
        assert isinstance(arguments, tuple)  # the mode, and the number of white
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
