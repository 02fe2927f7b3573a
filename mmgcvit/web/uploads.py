"""Pictures that come as bytes from somebody else's hands: checked by their headers before anything is decoded."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from ..errors import first_line
from ..inference import UserError

# As the page refuses them (page/image_header.js, page/picture.js).
LONGEST_SIDE = 10_000
MOST_BYTES = 64 << 20
# Of Pillow's decoders those that browsers have too, and that are looked at most.
FORMATS = ('PNG', 'JPEG', 'WEBP', 'GIF', 'BMP')


def picture_of(content: bytes) -> np.ndarray:
    """Decode a picture.

    Args:
        content: A file of one of :data:`FORMATS`.

    Returns:
        (height, width, 3) uint8, blue, green, red, turned upright by its EXIF data. Transparent parts are white, as on
        the page.

    Raises:
        UserError: It is none, damaged, or has a side of more than :data:`LONGEST_SIDE` pixels.
    """
    try:
        with warnings.catch_warnings():
            # Of odd metadata, and of images that are large but not too large.
            warnings.simplefilter('ignore')
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                check_size(*image.size)
                return np.ascontiguousarray(on_white(ImageOps.exif_transpose(image))[..., ::-1])
    except UserError:
        raise
    except Image.UnidentifiedImageError:
        raise UserError(f'The file is no image: take one of {", ".join(FORMATS)}.') from None
    except Image.DecompressionBombError:
        raise UserError(f'The picture is too large: take one of at most {LONGEST_SIDE} pixels a side.') from None
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        raise UserError(f'The picture cannot be decoded: {first_line(error)}.') from None


def check_size(width: int, height: int) -> None:
    """Refuse sizes that would fill the memory.

    Raises:
        UserError: A side is too long.
    """
    if max(width, height) > LONGEST_SIDE:
        raise UserError(f'The picture has {width} x {height} pixels; take one of at most {LONGEST_SIDE} pixels a side.')


def on_white(image: Image.Image) -> np.ndarray:
    """An image of any mode as an array (height, width, 3) uint8, red, green, blue."""
    if image.mode.startswith('I;16'):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert('RGBA')
        image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
    return np.asarray(image.convert('RGB'))
