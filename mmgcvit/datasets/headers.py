"""Read images with Pillow: sizes from the files' headers, decoding errors, and segmentation maps."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from ..errors import UserError, get_first_line

# The label of pixels that training and evaluation ignore.
IGNORE_INDEX = 255


def read_sizes(path: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return an image's (width, height) as stored, and after EXIF rotation. Raise a UserError for unreadable files."""
    try:
        with Image.open(path) as image:
            size = image.size
            try:
                orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            # Pillow raises errors of any class on damaged metadata. mmcv decodes such images without rotation.
            except Exception:
                orientation = 1
            # Orientations 5 to 8 swap width and height.
            return size, size[:: -1 if orientation >= 5 else 1]
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        raise UserError(f'{path} cannot be read ({get_first_line(error)})') from None


def find_read_error(path: Path) -> str | None:
    """Decode an image. Return a message if it is missing or cannot be decoded, else ``None``."""
    try:
        with Image.open(path) as image:
            image.load()
    except FileNotFoundError:
        return f'{path} is missing'
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        return f'{path} cannot be read ({get_first_line(error)})'
    return None


def read_segmentation_map(path: Path) -> NDArray[np.uint8]:
    """Return the labels, (height, width). Raise a UserError unless the file has one channel of at most 8 bits."""
    try:
        with Image.open(path) as image:
            mode, labels = image.mode, np.array(image)
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        raise UserError(f'{path} is not a readable segmentation map ({get_first_line(error)})') from None
    if mode not in ('1', 'L', 'P'):
        raise UserError(
            f'{path} has the mode {mode}. A segmentation map must have one channel of 8 bits, with the class index of '
            'each pixel'
        )
    return labels.astype(np.uint8)
