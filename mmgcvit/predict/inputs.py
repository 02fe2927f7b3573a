"""Convert images, files and URLs to arrays as data pipelines load them."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from string import punctuation
from tempfile import NamedTemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..datasets.decoders import convert_pillow, is_put_on_background
from ..datasets.decoding import (
    DecodingSettings,
    check_pixels,
    check_sides,
    check_values,
    load_image,
)
from ..datasets.opening import ImageError, decoder_errors
from ..errors import UserError, get_first_line
from ..host.files import is_url

ImageLike = str | os.PathLike[str] | NDArray[Any] | Image.Image
# Limits of the download of an image by its URL
MAX_SECONDS = 60
MAX_BYTES = 256 << 20


def convert_to_array(image: ImageLike, decoding: DecodingSettings) -> NDArray[np.uint8]:
    """Convert an image to the array that the model's data pipeline would load.

    ``image`` is a path or URL; an array (height, width, 3) in **BGR** order, as from
    ``cv2.imread``, (height, width, 4) in BGRA order, or greyscale; or a Pillow image. Of 16 bits,
    the upper 8 are used. Return (height, width, 3) uint8 in BGR order. The EXIF rotation is
    applied, except to files if the pipeline ignores it. Raise a UserError for images that are not
    read as in training.
    """
    name = 'the image'
    try:
        if isinstance(image, np.ndarray):
            return convert_to_bgr(image)
        if isinstance(image, Image.Image):
            return convert_to_bgr(convert_checked(image))
        if isinstance(image, str | os.PathLike):
            name = os.fspath(image)
            return convert_to_bgr(read_file(name, decoding))
        raise UserError(f'expected a path, a NumPy array or a Pillow image, got {image!r:.60}')
    except (UserError, ImageError) as error:
        raise UserError(f'{name} cannot be read: {get_first_line(error)}') from error


def read_file(name: str, decoding: DecodingSettings) -> NDArray[Any]:
    """Read the pixels of an image file or URL. Raise a UserError or ImageError if that fails."""
    with open_file(name) as path:
        try:
            pixels, _ = load_image(Path(path), decoding)
        except OSError as error:
            raise UserError(get_reason(error)) from error
    return pixels


def convert_checked(image: Image.Image) -> NDArray[Any]:
    """Convert a Pillow image to a BGR or greyscale array.

    Raise a UserError or ImageError if it cannot be decoded, or not as training would.
    """
    try:
        check_pixels(image)  # decodes it
        with decoder_errors():
            pixels = convert_pillow(image)
    except OSError as error:  # of the file that Pillow reads only now
        raise UserError(get_reason(error)) from error
    if is_put_on_background(image):
        raise UserError('it may be transparent, and files are put on a background. Pass its path')
    return pixels


@contextmanager
def open_file(name: str) -> Iterator[str]:
    """Yield the path of a file, or of a temporary copy of the file at a URL.

    Raise a UserError if the download fails.
    """
    if not is_url(name):
        yield name
        return
    with NamedTemporaryFile() as copy:
        try:
            download(name, copy)
        # A ValueError is for a URL that cannot be one, such as http://[x.
        except (OSError, HTTPException, ValueError) as error:
            raise UserError(get_reason(error)) from error
        yield copy.name


def download(url: str, file: IO[bytes]) -> None:
    """Download a URL into an open, empty file.

    Raise a UserError if it takes longer than :data:`MAX_SECONDS`, has more than :data:`MAX_BYTES`,
    or ends early, and the errors of ``urlopen`` for others.
    """
    # Imported here, because most commands download nothing.
    from urllib.parse import quote
    from urllib.request import Request, urlopen

    deadline = time.monotonic() + MAX_SECONDS
    request = Request(quote(url, safe=punctuation), headers={'User-Agent': 'mmgcvit'})
    with urlopen(request, timeout=MAX_SECONDS) as response:
        while chunk := response.read1(1 << 16):
            file.write(chunk)
            if file.tell() > MAX_BYTES or time.monotonic() > deadline:
                raise UserError(
                    f'over {MAX_BYTES >> 20} MB or {MAX_SECONDS} s. Download it, and pass its path'
                )
        length = response.headers.get('Content-Length')
    if length and file.tell() != int(length):
        raise UserError(f'the server sent {file.tell()} of {length} bytes')
    file.flush()


def get_reason(error: Exception) -> str:
    """Return why a file or URL cannot be read, without the number of a system's error."""
    return getattr(error, 'strerror', None) or get_first_line(error)


def convert_to_bgr(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert a greyscale, BGR or BGRA array to contiguous BGR of uint8.

    Raise a UserError for other arrays.
    """
    pixels = image[..., None] if image.ndim == 2 else image
    is_image = pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4) and pixels.size > 0
    if not is_image or pixels.dtype.kind not in 'uif':
        raise UserError(
            f'it has the shape {image.shape} and the dtype {image.dtype}. Expected (height, width, '
            '3) and uint8'
        )
    height, width, num_channels = pixels.shape
    check_sides(width, height)
    if pixels.dtype != np.uint8:
        check_dtype(pixels[..., :3])
        check_values(pixels[..., :3])
        pixels = (pixels >> 8).astype(np.uint8)
    if num_channels == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels[..., :3])


def check_dtype(pixels: NDArray[Any]) -> None:
    """Raise a UserError for integers that are neither uint8 nor uint16, and whose values do not say
    that they have 16 bits.
    """
    if pixels.dtype.kind == 'f' or pixels.dtype == np.uint16:
        return
    lowest = pixels.min()
    highest = pixels.max()
    if lowest < 0 or 0 < highest < 4096:
        raise UserError(
            f'it has the dtype {pixels.dtype}, and values from {lowest} to {highest}. Expected '
            'uint8 from 0 to 255, or uint16 from 0 to 65535. If the values are from 0 to 255, pass '
            "image.astype('uint8')"
        )
