"""One image from a file, an array or Pillow, as the pipelines of the hosts take it."""

import io
import os
from pathlib import Path

import mmcv
import numpy as np
from PIL import Image, ImageOps

from ..datasets.checks.images import EMPTY, MISSING, NO_FILE, TOO_LARGE, Loader, problem_of
from ..errors import UserError, first_line

# A path, an array of OpenCV's kind, or an image of Pillow's.
ImageLike = str | os.PathLike | np.ndarray | Image.Image
# Formats that may hold a film.
ANIMATED = ('.gif', '.webp', '.png', '.apng')
REASONS = {
    MISSING: 'there is no such file',
    NO_FILE: 'it is no regular file',
    EMPTY: 'it has 0 bytes',
    TOO_LARGE: f'its header announces more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels; cut it into tiles',
}


def as_array(image: ImageLike, loader: Loader) -> np.ndarray:
    """An image as the data pipeline would load it.

    A file; an array of shape (height, width), (height, width, 1), with 3 channels in the order **blue, green, red** as
    ``cv2.imread`` gives them, or with alpha behind them, of 8 or 16 bits; or an image of Pillow's become an array
    (height, width, 3) uint8, blue, green, red, turned upright by its EXIF data.
    """
    if isinstance(image, (str, os.PathLike)):
        return read_image(os.fspath(image), loader)
    if isinstance(image, np.ndarray):
        return from_array(image)
    if isinstance(image, Image.Image):
        return from_pillow(image)
    raise UserError(f'an image is a path, a NumPy array or an image of Pillow, not {type(image).__name__}')


def read_image(path: str, loader: Loader) -> np.ndarray:
    """Decode a file; a UserError where that fails.

    By Pillow too: it refuses cut files that OpenCV fills up with grey, and knows the size before it decodes.
    """
    check_is_file(path)
    content = Path(path).read_bytes()
    try:
        Image.open(io.BytesIO(content)).load()
        loaded = mmcv.imfrombytes(content, flag=loader.flag, backend=loader.backend)
    except Image.DecompressionBombError:
        raise UserError(f'{path}: {REASONS[TOO_LARGE]}') from None
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        raise UserError(f'{path} cannot be read: {first_line(error)}') from None
    if loaded is None:
        raise UserError(f'{path} cannot be read: {loader.backend} cannot decode it')
    return from_array(loaded)


def check_is_file(path: str) -> None:
    """Refuse what is no file, or an empty one, without opening it."""
    problem = problem_of(path)
    if problem is not None:
        raise UserError(f'{path}: {REASONS[problem]}')


def is_animated(path: str) -> bool:
    """Whether an image file that can be read has several pictures that follow each other in time."""
    if not path.lower().endswith(ANIMATED):
        return False
    with Image.open(path) as image:
        return getattr(image, 'is_animated', False)


def from_array(image: np.ndarray) -> np.ndarray:
    """An array with three channels of eight bits; see :func:`as_array`."""
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in image.shape:
        raise UserError(
            f'an image has shape {image.shape}; expected (height, width), or 1, 3 or 4 channels in a third dimension'
        )
    if image.dtype not in (np.uint8, np.uint16):
        raise UserError(f'an image has values of type {image.dtype}; expected uint8, or uint16')
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if channels == 1:
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def from_pillow(image: Image.Image) -> np.ndarray:
    """An image of Pillow's; see :func:`as_array`."""
    image = ImageOps.exif_transpose(image)
    if image.mode == 'F':
        raise UserError('an image of Pillow has mode F, decimal numbers; expected 8 or 16 bits')
    if image.mode.startswith('I'):
        # Grey of 16 bits, which Pillow keeps in 32 in some formats.
        grey = np.asarray(image)
        low, high = int(grey.min()), int(grey.max())
        if image.mode == 'I' and (low < 0 or high > np.iinfo(np.uint16).max or 0 < high <= np.iinfo(np.uint8).max):
            raise UserError(
                f'an image of Pillow has mode I with values from {low} to {high}; expected 16 bits. Of 8 bits: '
                "image.convert('L')"
            )
        return from_array(grey.astype(np.uint16))
    return from_array(np.asarray(image.convert('RGB'))[..., ::-1])
