"""Find images and videos by file, folder and glob pattern.

Convert images to arrays as data pipelines load them.
"""

import glob
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
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
from ..host.files import IMAGE_SUFFIXES, is_url, make_absolute, raise_unreadable, walk
from .output_files import list_outputs

ImageLike = str | os.PathLike[str] | NDArray[Any] | Image.Image
VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv')
# Limits of the download of an image by its URL
MAX_SECONDS = 60
MAX_BYTES = 256 << 20


STAR = '\0'  # stands for a * that stays a wildcard


def find_inputs(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Find (images, videos) by files, folders and glob patterns.

    A folder is searched without its subfolders.
    """
    # The file as it is given, by its URL or absolute path: one that is given twice, also by other
    # paths, is one input.
    found: dict[str | Path, str] = {}
    for name in names:
        for file in list_files(name):
            found.setdefault(file if is_url(file) else make_absolute(file), file)
    images: list[str] = []
    videos: list[str] = []
    for file in found.values():
        # A file that the user names counts as an image if it has no video suffix.
        if file.lower().endswith(VIDEO_SUFFIXES):
            videos.append(file)
        else:
            images.append(file)
    return images, videos


def list_files(name: str) -> list[str]:
    """List a file or URL, or the images and videos of a folder or glob pattern.

    Raise a UserError if there are none.
    """
    path = Path(name)
    if is_url(name) and name.lower().endswith(VIDEO_SUFFIXES):
        raise UserError(f'{name}: videos are not read from URLs. Download it, and pass its path')
    if is_url(name) or path.is_file():
        return [name]
    pattern = os.path.join(glob.escape(name), '*') if path.is_dir() else name  # noqa: PTH118
    files = []
    for file in sorted(expand_pattern(pattern)):
        if file.lower().endswith(IMAGE_SUFFIXES + VIDEO_SUFFIXES) and not Path(file).is_dir():
            files.append(file)
    if '**' in name:
        # Earlier predictions below the folder are not inputs.
        files = drop_outputs(files, Path(name.partition('**')[0]))
    if files:
        return files
    if not path.is_dir() and not glob.has_magic(name):
        raise UserError(f'there is no file or folder {name}')
    if '[' in name:
        raise UserError(
            f'{name}: no image or video found. In a pattern, [ and ] enclose alternatives. Write '
            f'[[] for a [ in a name: {glob.escape(name.replace("*", STAR)).replace(STAR, "*")}'
        )
    raise UserError(
        f"{name}: no image or video found. For images in subfolders, use 'FOLDER/**/*', with the "
        'quotes'
    )


def expand_pattern(pattern: str) -> list[str]:
    """List the paths that match a glob pattern, in which ``**`` stands for a folder and all below.

    Python's ``glob`` leaves out folders that cannot be read, and follows a link to a folder above
    40 times, so that each picture would be 40 inputs. Here the former raise a UserError, and each
    folder is visited once.
    """
    recursive = re.search(r'(?:^|(?<=/))\*\*(?=/|$)', pattern)
    if recursive is None:
        return glob.glob(pattern)  # noqa: PTH207
    start = pattern[: recursive.start()]
    rest = pattern[recursive.start() :].split('/')
    starts = glob.glob(start) if glob.has_magic(start) else [start]  # noqa: PTH207
    files = []
    for root in starts:
        top = Path(root or '.')
        if top.is_dir():
            inside = find_matching(top, rest)
            files += [os.path.join(root, *parts) for parts in inside]  # noqa: PTH118
    return files


def find_matching(top: Path, pattern: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the parts of the paths of files below a folder that match the parts of a pattern.

    A file that matches at its own path and at that of a link to its folder is there once.
    """
    # As in glob, names with a dot in front are hidden, unless the pattern has one.
    is_hidden_named = any(part.startswith('.') for part in pattern)
    found = []
    links = []
    for parent, folders, names in walk(top):
        if not is_hidden_named:
            folders[:] = [name for name in folders if not name.startswith('.')]
        inside = parent.relative_to(top).parts
        found += [(*inside, name) for name in names if matches((*inside, name), pattern)]
        links += [(*inside, name) for name in folders if (parent / name).is_symlink()]
    files = {os.path.realpath(top.joinpath(*parts)) for parts in found}
    # Folders inside were visited at their own paths; a pattern may name the link.
    for link in links:
        start = top.joinpath(*link)
        target = start.resolve()
        is_above = start.parent.resolve().is_relative_to(target)
        if is_above or not target.is_relative_to(top.resolve()):
            continue
        for path, _, names in os.walk(start, onerror=raise_unreadable):
            inside = Path(path).relative_to(top).parts
            for name in names:
                file = os.path.realpath(os.path.join(path, name))  # noqa: PTH118
                if file not in files and matches((*inside, name), pattern):
                    files.add(file)
                    found.append((*inside, name))
    return found


def matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether the parts of a file's path match those of a glob pattern. ``**`` matches any
    number of parts, and a name with a dot in front only a pattern with one.

    A last ``**`` stands for what is in a folder, so it matches at least the file's own name.
    """
    if not pattern or not parts:
        return not pattern and not parts
    first, *rest = pattern
    if first == '**':
        for end in range(len(parts) + 1):
            if end and parts[end - 1].startswith('.'):
                return False
            if matches(parts[end:], rest):
                return True
        return False
    if parts[0].startswith('.') and not first.startswith('.'):
        return False
    return fnmatchcase(parts[0], first) and matches(parts[1:], rest)


def drop_outputs(files: Sequence[str], root: Path) -> list[str]:
    """Drop the files that mmgcvit's commands have written into folders below ``root``."""
    outputs: set[Path] = set()
    for folder in {parent for file in files for parent in Path(file).parents}:
        if len(folder.parts) >= len(root.parts):
            names = list_outputs(folder, [path.name for path in folder.iterdir()])
            outputs.update(folder / name for name in names)
    return [file for file in files if outputs.isdisjoint([Path(file), *Path(file).parents])]


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
