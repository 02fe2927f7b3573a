"""Write files and folders atomically; check paths before a long computation."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .errors import UserError

if TYPE_CHECKING:
    import numpy as np

# Suffixes of images.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff')
IMAGE_SUFFIXES += ('.ppm', '.pgm', '.jp2', '.avif', '.heic')
URL_SCHEMES = ('http://', 'https://')
# Suffix of unfinished files and folders.
UNFINISHED = '.unfinished'


def make_absolute(path: str | Path) -> Path:
    """An absolute path without ``..``; symbolic links are not resolved."""
    return Path(os.path.normpath(Path(path).absolute()))


def read_text(file: Path) -> str:
    """Read a UTF-8 file, without a byte order mark."""
    try:
        return file.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError:
        raise UserError(f'{file} is not valid UTF-8; save it as such') from None


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def find_free_path(path: Path) -> Path:
    """Append 2, 3, ... to a path until nothing or an empty folder is there."""
    others = (path.with_name(f'{path.stem}{number}{path.suffix}') for number in itertools.count(2))
    return next(p for p in itertools.chain([path], others) if not p.exists() or (p.is_dir() and not any(p.iterdir())))


def check_writable(folder: Path, name: str) -> None:
    """Raise a UserError that names the option if a folder, which need not exist yet, cannot be written."""
    existing = next(each for each in (folder, *make_absolute(folder).parents) if each.exists())
    try:
        # Permissions are not enough, for example on read-only file systems.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(f'{name} cannot be written ({existing}: {error.strerror}); choose another path') from None


def check_target(target: Path, ending: str, overwrite: bool | None = False) -> None:
    """Raise a UserError if a file to write has another ending, exists, or cannot be written."""
    if target.suffix != ending:
        raise UserError(f'{target}: expected a name that ends in {ending}')
    if target.is_dir() or (target.exists() and not overwrite):
        instead = 'remove it' if overwrite is None else 'replace it with --overwrite'
        raise UserError(f'{target} exists; choose another file, or {instead}')
    check_writable(target.parent, str(target))


@contextmanager
def atomic_write(path: Path, flush: bool = True) -> Iterator[Path]:
    """Write a file atomically: to a temporary name beside it, which replaces it at the end.

    Args:
        path: The file, which is replaced if it exists, also if it is a symbolic link. Its folder is created.
        flush: Wait until the content is on disk, so that it survives a power cut.

    Yields:
        The temporary path to write to. It is removed if an error is raised.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f'{path.name}.{uuid4().hex[:8]}{UNFINISHED}')
    try:
        yield unfinished
        if flush:
            with unfinished.open('rb') as file:
                os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically."""
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding='utf-8')


def write_image(path: Path, picture: np.ndarray) -> Path:
    """Write an image atomically, in the format of its suffix; return the path.

    Args:
        path: With ``.jpg``, ``.png`` or another suffix that OpenCV writes.
        picture: (height, width, 3) uint8 in BGR order, or (height, width) uint8 or uint16.
    """
    # Most commands import this module; few need OpenCV.
    import cv2

    # cv2.imwrite does not report a full disk.
    _, content = cv2.imencode(path.suffix, picture)
    with atomic_write(path, flush=False) as unfinished:
        unfinished.write_bytes(content.tobytes())
    return path


def is_up_to_date(out: Path, options_file: str, options: Mapping[str, Any]) -> bool:
    """Whether a folder was written with these options.

    Raises:
        UserError: The folder has other files.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / options_file).is_file():
        raise UserError(f'{out} exists and was not written by this command; choose another folder, or remove it')
    return json.loads((out / options_file).read_text()) == options


@contextmanager
def atomic_folder(out: Path, options_file: str, options: Mapping[str, Any]) -> Iterator[Path]:
    """Write a folder atomically: under a temporary name, which replaces it at the end.

    Args:
        out: The folder, checked by :func:`is_up_to_date`.
        options_file: The file in it for the options.
        options: What the folder is written with.

    Yields:
        The temporary folder.
    """
    out = out.absolute()
    unfinished = out.with_name(f'{out.name}.{uuid4().hex[:8]}{UNFINISHED}')
    unfinished.mkdir(parents=True)
    try:
        (unfinished / options_file).write_text(json.dumps(options))
        yield unfinished
        shutil.rmtree(out, ignore_errors=True)
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
