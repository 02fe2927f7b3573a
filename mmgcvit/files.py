"""Write files and folders atomically, and check before a computation that they can be written."""

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

# What is read as an image by its name.
IMAGE_ENDINGS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff')
IMAGE_ENDINGS += ('.ppm', '.pgm', '.jp2', '.avif', '.heic')
ADDRESSES = ('http://', 'https://')
# What the name of a file or folder ends in while it is written.
UNFINISHED = '.unfinished'


def absolute_path(path: str | Path) -> Path:
    """An absolute path without ``..``; symbolic links are not resolved."""
    return Path(os.path.normpath(Path(path).absolute()))


def text_of(file: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark."""
    try:
        return file.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError:
        raise UserError(f'{file} is not valid UTF-8; save it as such') from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def find_free_path(path: Path) -> Path:
    """The path if it is free or an empty folder, else the first free one of its name with 2, 3, ... appended."""
    others = (path.with_name(f'{path.stem}{number}{path.suffix}') for number in itertools.count(2))
    return next(p for p in itertools.chain([path], others) if not p.exists() or (p.is_dir() and not any(p.iterdir())))


def check_writable(folder: Path, name: str) -> None:
    """Raise a UserError that names the option if a folder, which need not exist yet, cannot be written."""
    existing = next(each for each in (folder, *absolute_path(folder).parents) if each.exists())
    try:
        # Permissions do not tell everything: root may write, and file systems refuse.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(f'{name} cannot be written ({existing}: {error.strerror}); name another place') from None


def check_target(target: Path, ending: str, overwrite: bool | None = False) -> None:
    """Raise a UserError if a file to write has another ending, exists, or cannot be written."""
    if target.suffix != ending:
        raise UserError(f'{target}: expected a name that ends in {ending}')
    if target.is_dir() or (target.exists() and not overwrite):
        instead = 'remove it first' if overwrite is None else 'replace it with --overwrite'
        raise UserError(f'{target} exists; name another file, or {instead}')
    check_writable(target.parent, str(target))


@contextmanager
def atomic_write(path: Path, flush: bool = True) -> Iterator[Path]:
    """Write a file atomically: to a temporary name beside it, which replaces it at the end.

    Args:
        path: The file; its folder is made. What is there is replaced, a symbolic link too.
        flush: Wait until the disk has the content. Without it a power cut may leave an empty file; a kill does not.

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
    """Write an image atomically, in the format of its name; gives the path.

    Args:
        path: Ends in ``.jpg``, ``.png`` or another ending that OpenCV writes.
        picture: (height, width, 3) uint8, blue, green, red; or (height, width) of 8 or 16 bits.
    """
    # Nearly every command imports this module, and few need OpenCV.
    import cv2

    # cv2.imwrite does not report a full disk.
    _, content = cv2.imencode(path.suffix, picture)
    with atomic_write(path, flush=False) as unfinished:
        unfinished.write_bytes(content.tobytes())
    return path


def is_up_to_date(out: Path, options_file: str, options: Mapping[str, Any]) -> bool:
    """Whether a folder was made with these options; a UserError if the tool has not made it."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / options_file).is_file():
        raise UserError(f'{out} exists and was not made by this tool; name another folder, or remove it first')
    return json.loads((out / options_file).read_text()) == options


@contextmanager
def atomic_folder(out: Path, options_file: str, options: Mapping[str, Any]) -> Iterator[Path]:
    """Write a folder beside its place and move it there at the end, so that an interrupted run leaves what was there.

    Args:
        out: The folder, which :func:`is_up_to_date` has allowed to replace.
        options_file: The name of a file in it that says what it was made with.
        options: What to write there.

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
