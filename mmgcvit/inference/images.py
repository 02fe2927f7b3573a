"""Read an image from a file, an array or Pillow, in the same way as OpenMMLab's data pipelines."""

import io
import os
from pathlib import Path

import mmcv
import numpy as np
from PIL import Image, ImageOps

from ..datasets.checks.images import Loader
from ..errors import UserError, get_first_line

ImageLike = str | os.PathLike | np.ndarray | Image.Image


def as_array(image: ImageLike, loader: Loader) -> np.ndarray:
    """Read an image as the data pipeline does.

    Args:
        image: A path; an array (height, width, 3) uint8 in **BGR** order, as from ``cv2.imread``, or greyscale or
            BGRA; or a Pillow image.
        loader: The decoding settings of the pipeline.

    Returns:
        (height, width, 3) uint8 in BGR order, with the EXIF rotation applied.
    """
    if isinstance(image, (str, os.PathLike)):
        return read_image(os.fspath(image), loader)
    if isinstance(image, np.ndarray):
        return convert_array(image)
    if isinstance(image, Image.Image):
        return convert_array(np.asarray(ImageOps.exif_transpose(image).convert('RGB'))[..., ::-1])
    raise UserError(f'an image must be a path, a NumPy array or a Pillow image, not {type(image).__name__}')


def read_image(path: str, loader: Loader) -> np.ndarray:
    """Decode a file. Raise a UserError if that fails.

    Pillow decodes it first, because it rejects truncated files, which OpenCV fills with grey, and decompression bombs.
    """
    try:
        content = Path(path).read_bytes()
        Image.open(io.BytesIO(content)).load()
        loaded = mmcv.imfrombytes(content, flag=loader.flag, backend=loader.backend)
        if loaded is None:
            raise ValueError(f'{loader.backend} cannot decode it')
        return convert_array(loaded)
    # Decoders raise errors of any type on damaged files.
    except Exception as error:
        reason = getattr(error, 'strerror', None) or get_first_line(error)
        raise UserError(f'{path} cannot be read: {reason}') from None


def convert_array(image: np.ndarray) -> np.ndarray:
    """Convert a greyscale, BGR or BGRA array to three contiguous channels. Raise a UserError for other arrays."""
    image = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    if image.ndim != 3 or image.shape[2] not in (3, 4) or image.dtype != np.uint8 or not image.size:
        raise UserError(f'an image has shape {image.shape} and {image.dtype}; expected (height, width, 3), uint8')
    return np.ascontiguousarray(image[..., :3])
