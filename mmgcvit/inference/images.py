"""Read one image from a file, an array or Pillow, as the data pipelines of the OpenMMLab packages do."""

import io
import os
from pathlib import Path

import mmcv
import numpy as np
from PIL import Image, ImageOps

from ..datasets.checks.images import EMPTY, MISSING, NO_FILE, TOO_LARGE, Loader, problem_of
from ..errors import UserError, first_line

ImageLike = str | os.PathLike | np.ndarray | Image.Image
REASONS = {
    MISSING: 'there is no such file',
    NO_FILE: 'it is not a regular file',
    EMPTY: 'it has 0 bytes',
    TOO_LARGE: f'its header announces more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels; cut it into tiles',
}


def as_array(image: ImageLike, loader: Loader) -> np.ndarray:
    """Read an image as the data pipeline would.

    Args:
        image: A path; an array of shape (height, width), (height, width, 1), with 3 channels in the order **blue,
            green, red** as ``cv2.imread`` gives them, or with an alpha channel behind them, of 8 or 16 bits; or an
            image of Pillow's.
        loader: How files are decoded.

    Returns:
        (height, width, 3) uint8, blue, green, red, with the EXIF rotation applied.
    """
    if isinstance(image, (str, os.PathLike)):
        return read_image(os.fspath(image), loader)
    if isinstance(image, np.ndarray):
        return convert_array(image)
    if isinstance(image, Image.Image):
        return convert_pillow(image)
    raise UserError(f'an image is a path, a NumPy array or an image of Pillow, not {type(image).__name__}')


def read_image(path: str, loader: Loader) -> np.ndarray:
    """Decode a file; a UserError if that fails.

    Pillow decodes it first: it rejects truncated files that OpenCV fills with grey, and checks the size beforehand.
    """
    check_file(path)
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
    return convert_array(loaded)


def check_file(path: str) -> None:
    """Reject what is not a regular file, or is empty, without opening it."""
    problem = problem_of(path)
    if problem is not None:
        raise UserError(f'{path}: {REASONS[problem]}')


def is_animated(path: str) -> bool:
    """Whether an image file that can be read is an animation."""
    with Image.open(path) as image:
        return getattr(image, 'is_animated', False)


def convert_array(image: np.ndarray) -> np.ndarray:
    """Convert an array to three channels of eight bits; see :func:`as_array`."""
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


def convert_pillow(image: Image.Image) -> np.ndarray:
    """Convert an image of Pillow's; see :func:`as_array`."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I;16'):
        return convert_array(np.asarray(image).astype(np.uint16))
    if image.mode in ('I', 'F'):
        raise UserError(
            f"an image of Pillow has mode {image.mode}; expected 8 or 16 bits, as image.convert('L') gives them"
        )
    return convert_array(np.asarray(image.convert('RGB'))[..., ::-1])
