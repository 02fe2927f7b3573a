"""Convert an image file, an array or a Pillow image to the array that OpenMMLab's data pipelines would load."""

import os

import numpy as np
from PIL import Image, ImageOps

from ..datasets.decoding import DecodingSettings, load_image
from ..errors import UserError, get_first_line

ImageLike = str | os.PathLike | np.ndarray | Image.Image


def convert_to_array(image: ImageLike, decoding: DecodingSettings) -> np.ndarray:
    """Convert an image to the array that the model's data pipeline would load.

    Args:
        image: A path; a uint8 array (height, width, 3) in **BGR** order, as from ``cv2.imread``, (height, width, 4) in
            BGRA order, or (height, width) in greyscale; or a Pillow image.
        decoding: The settings with which the pipeline decodes image files.

    Returns:
        (height, width, 3) uint8 in BGR order. The EXIF rotation is applied, except to files if the pipeline ignores it.
    """
    if isinstance(image, (str, os.PathLike)):
        return read_image(os.fspath(image), decoding)
    if isinstance(image, np.ndarray):
        return convert_to_bgr(image)
    if isinstance(image, Image.Image):
        return convert_to_bgr(np.asarray(ImageOps.exif_transpose(image).convert('RGB'))[..., ::-1])
    raise UserError(f'an image must be a path, a NumPy array or a Pillow image, not {type(image).__name__}')


def read_image(path: str, decoding: DecodingSettings) -> np.ndarray:
    """Decode an image file to (height, width, 3) uint8 in BGR order. Raise a UserError if that fails."""
    try:
        return convert_to_bgr(load_image(path, decoding)[0])
    # Decoders raise errors of any type on damaged files.
    except Exception as error:
        reason = getattr(error, 'strerror', None) or get_first_line(error)
        raise UserError(f'{path} cannot be read: {reason}') from None


def convert_to_bgr(image: np.ndarray) -> np.ndarray:
    """Convert a greyscale, BGR or BGRA array to a contiguous BGR array. Raise a UserError for other arrays."""
    image = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    if image.ndim != 3 or image.shape[2] not in (3, 4) or image.dtype != np.uint8 or not image.size:
        raise UserError(
            f'an image has the shape {image.shape} and the dtype {image.dtype}. Expected (height, width, 3) and uint8'
        )
    return np.ascontiguousarray(image[..., :3])
