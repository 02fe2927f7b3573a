"""Find images and videos by file, folder and glob pattern.

Convert images to arrays as data pipelines load them.
"""

import glob
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from string import punctuation
from tempfile import NamedTemporaryFile
from urllib.parse import quote
from urllib.request import Request, urlopen

import numpy as np
from PIL import Image, ImageOps

from ..datasets.decoding import (
    DecodingSettings,
    check_pixels,
    check_sides,
    check_values,
    load_image,
)
from ..errors import UserError, get_first_line
from ..files import IMAGE_SUFFIXES, is_url, list_outputs, make_absolute

ImageLike = str | os.PathLike | np.ndarray | Image.Image
VIDEO_SUFFIXES = (
    '.mp4',
    '.avi',
    '.mov',
    '.mkv',
    '.webm',
    '.m4v',
    '.mpg',
    '.mpeg',
    '.wmv',
    '.flv',
    '.ts',
)
MAX_SECONDS, MAX_BYTES = 60, 256 << 20  # limits of the download of an image by its URL


def find_inputs(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Find (images, videos) by files, folders and glob patterns.

    A folder is searched without its subfolders.
    """
    found: dict[
        str | Path, str
    ] = {}  # a file that is given twice, also by other paths, is one input
    for file in (file for name in names for file in list_files(name)):
        found.setdefault(file if is_url(file) else make_absolute(file), file)
    files = [*found.values()]
    videos = [file for file in files if file.lower().endswith(VIDEO_SUFFIXES)]
    # A file that the user names counts as an image if it has no video suffix.
    return [file for file in files if not file.lower().endswith(VIDEO_SUFFIXES)], videos


def list_files(name: str) -> list[str]:
    """List a file or URL, or the images and videos of a folder or glob pattern.

    Raise a UserError if there are none.
    """
    if is_url(name) and name.lower().endswith(VIDEO_SUFFIXES):
        raise UserError(f'{name}: videos are not read from URLs. Download it, and pass its path')
    if is_url(name) or Path(name).is_file():
        return [name]
    pattern = os.path.join(glob.escape(name), '*') if Path(name).is_dir() else name  # noqa: PTH118
    files = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    files = [
        x
        for x in files
        if x.lower().endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)) and not Path(x).is_dir()
    ]
    if '**' in name:
        # Earlier predictions below the folder are not inputs.
        depth, paths = len(Path(name.partition('**')[0]).parts), [*map(Path, files)]
        folders = {Path(*path.parts[:i]) for path in paths for i in range(depth, len(path.parts))}
        outputs = {
            f / n for f in folders for n in list_outputs(f, {path.name for path in f.iterdir()})
        }
        files = [
            file
            for file, path in zip(files, paths, strict=True)
            if outputs.isdisjoint([path, *path.parents])
        ]
    if not files and not glob.has_magic(name) and not Path(name).exists():
        raise UserError(f'there is no file or folder {name}')
    if not files:
        hint = (
            f". For images in its subfolders, use '{name}/**/*', with the quotes"
            if Path(name).is_dir()
            else ''
        )
        raise UserError(f'{name}: no image or video found{hint}')
    return files


def convert_to_array(image: ImageLike, decoding: DecodingSettings) -> np.ndarray:
    """Convert an image to the array that the model's data pipeline would load.

    ``image`` is a path or URL; an array (height, width, 3) in **BGR** order, as from
    ``cv2.imread``, (height, width, 4) in BGRA order, or greyscale; or a Pillow image. Of 16 bits,
    the upper 8 are used. Return (height, width, 3) uint8 in BGR order. The EXIF rotation is
    applied, except to files if the pipeline ignores it. Raise a UserError for images that are not
    read as in training.
    """
    if not isinstance(image, ImageLike):
        raise UserError(
            f'an image must be a path, a NumPy array or a Pillow image, not {type(image).__name__}'
        )
    is_path = isinstance(image, (str, os.PathLike))
    try:
        if is_path:
            with open_file(os.fspath(image)) as path:
                return convert_to_bgr(load_image(path, decoding)[0])
        if isinstance(image, np.ndarray):
            return convert_to_bgr(image)
        check_pixels(image)
        upright = ImageOps.exif_transpose(image)
        is_grey = upright.mode[0] == 'I'  # of 16 bits, which Pillow's conversion would clip
        if (colour := find_colour_below(image)) is not None:
            upright = Image.alpha_composite(
                Image.new('RGBA', upright.size, colour), upright.convert('RGBA')
            )
        return convert_to_bgr(
            np.asarray(upright) if is_grey else np.asarray(upright.convert('RGB'))[..., ::-1]
        )
    # Decoders raise errors of any type on damaged files.
    except Exception as error:
        reason = getattr(error, 'strerror', None) or get_first_line(error)
        raise UserError(f'{image if is_path else "the image"} cannot be read: {reason}') from None


def find_colour_below(image: Image.Image) -> tuple[int, ...] | None:
    """Return the colour in which OpenCV shows what is transparent in an image's file.

    Mostly it drops alpha: None.
    """
    # The tag ExtraSamples says whether the fourth channel is alpha.
    if image.format == 'TIFF' and image.mode == 'RGBA' and {1, 2} & {*image.tag_v2.get(338, ())}:
        return 0, 0, 0
    if image.format != 'GIF' or 'transparency' not in image.info:
        return None
    palette, first = (
        image.getpalette() or np.repeat(range(256), 3).tolist(),
        3 * image.info.get('background', 0),
    )
    return tuple(palette[first : first + 3]) or None


@contextmanager
def open_file(name: str) -> Iterator[str]:
    """Yield the path of a file, or of a temporary copy of the file at a URL."""
    if not is_url(name):
        yield name
        return
    deadline = time.monotonic() + MAX_SECONDS
    request = Request(quote(name, safe=punctuation), headers={'User-Agent': 'mmgcvit'})
    with NamedTemporaryFile() as copy, urlopen(request, timeout=MAX_SECONDS) as response:
        if not is_url(response.url):
            raise UserError(f'it is at {response.url}. Download it, and pass its path')
        while chunk := response.read1(1 << 16):
            copy.write(chunk)
            if copy.tell() > MAX_BYTES or time.monotonic() > deadline:
                raise UserError(
                    f'over {MAX_BYTES >> 20} MB or {MAX_SECONDS} s. Download it, and pass its path'
                )
        copy.flush()
        yield copy.name


def convert_to_bgr(image: np.ndarray) -> np.ndarray:
    """Convert a greyscale, BGR or BGRA array to contiguous BGR of uint8.

    Raise a ValueError for other arrays.
    """
    pixels = image[..., None] if image.ndim == 2 else image
    if (
        pixels.ndim != 3
        or pixels.shape[2] not in (1, 3, 4)
        or pixels.dtype.kind not in 'uif'
        or not pixels.size
    ):
        expected = 'Expected (height, width, 3) and uint8'
        raise UserError(f'it has the shape {image.shape} and the dtype {image.dtype}. {expected}')
    check_sides(pixels.shape[1], pixels.shape[0])
    if pixels.dtype != np.uint8:
        check_values(pixels[..., :3])
        pixels = (pixels >> 8).astype(np.uint8)
    return np.ascontiguousarray(
        np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[..., :3]
    )
