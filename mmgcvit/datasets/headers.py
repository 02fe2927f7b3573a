"""Read image headers and segmentation maps with Pillow."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from ..errors import UserError, get_first_line

# The label of pixels that are not labelled.
IGNORED = 255


def read_sizes(path: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """Width and height of an image as stored and after EXIF rotation, by its header alone, or a UserError."""
    try:
        with Image.open(path) as image:
            size = image.size
            try:
                orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            # Pillow raises errors of any class on damaged metadata; images are loaded without them.
            except Exception:
                orientation = 1
            # From 5 to 8 the image lies on its side.
            return size, size[:: -1 if orientation >= 5 else 1]
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        raise UserError(
            f'{path} cannot be read ({get_first_line(error)}); copy or convert it again, or remove it'
        ) from None


def read_segmentation_map(path: Path) -> NDArray[np.uint8]:
    """The labels per pixel, (height, width), or a UserError."""
    try:
        with Image.open(path) as image:
            mode, labels = image.mode, np.array(image)
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        raise UserError(f'{path} is not a readable segmentation map ({get_first_line(error)})') from None
    if mode not in ('1', 'L', 'P'):
        raise UserError(f'{path} is {mode}; expected one channel of 8 bits, the number of a class at each pixel')
    return labels.astype(np.uint8)
