"""Paths and names of files, checks of output paths before a long computation, and atomic writes."""

import filecmp
import hashlib
import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ..errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGE_SUFFIXES = (
    '.jpg',
    '.jpeg',
    '.jpe',
    '.jfif',
    '.jp2',
    '.png',
    '.webp',
    '.bmp',
    '.gif',
    '.tif',
    '.tiff',
    '.ppm',
    '.pgm',
    '.avif',
    '.heic',
)
URL_SCHEMES = ('http://', 'https://')
TEMPORARY_SUFFIX = '.unfinished'  # suffix of files that are being written


def make_absolute(path: str | Path) -> Path:
    """Return an absolute path without ``..``.

    Resolve the links before the last ``..``, as the system does, and keep those behind it.
    """
    parts = Path(path).absolute().parts
    end = 0  # behind the last '..'
    for position, part in enumerate(parts, start=1):
        if part == '..':
            end = position
    return Path(os.path.realpath(Path(*parts[:end])), *parts[end:])


def normalise(name: str) -> str:
    """Return a name in one Unicode form. macOS writes an umlaut as two characters."""
    return unicodedata.normalize('NFC', name)


def find_on_disk(folder: Path, name: str) -> str:
    """Return the path of a file in a folder as the disk has it, which may be in another Unicode
    form. Return ``name`` as it is if there is such a file, or none in any form.

    macOS takes an umlaut of one character (NFC) and one of two (NFD) for the same; Linux does not.
    So a folder that was packed on the one may have names in both forms on the other.
    """
    if name.isascii() or os.path.lexists(folder / name):
        return name
    found = Path()
    for part in Path(name).parts:
        forms = (part, normalise(part), unicodedata.normalize('NFD', part))
        existing = [form for form in forms if os.path.lexists(folder / found / form)]
        if not existing:
            return name
        found /= existing[0]
    return str(found)


def expand_user(path: str | Path) -> Path:
    """Replace ``~`` or ``~USER`` at the head of a path by a home folder.

    Keep it if there is no such user, so that there is no such file: ``Path.expanduser`` would raise
    a RuntimeError.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111


def make_portable_path(path: str | Path) -> str:
    """Make a path relative if it is in the current folder, so that this folder can be moved, and
    otherwise absolute.
    """
    path = make_absolute(path)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return str(path)


def fold_name(name: str) -> str:
    """Return what is equal in names that a disk may take for one: not the case and the Unicode
    form, which macOS, Windows and many sticks ignore.
    """
    return normalise(name).casefold()


def is_url(name: str | Path) -> bool:
    """Return whether a name is an http or https URL, in lower or upper case."""
    return str(name).lower().startswith(URL_SCHEMES)


def read_text(file: Path) -> str:
    """Read a UTF-8 file and drop its byte order mark, if it has one.

    Raise a UserError if it is missing or in another encoding.
    """
    try:
        return file.read_text(encoding='utf-8-sig')
    except FileNotFoundError:
        raise UserError(f'{file} is missing, or a link to a missing file') from None
    except UnicodeDecodeError:
        raise UserError(f'{file} is not valid UTF-8. Save it with the encoding UTF-8') from None


def compute_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def have_same_content(first: Path, second: Path) -> bool:
    """Return whether two paths lead to one file, or to files with the same bytes."""
    if os.path.abspath(first) == os.path.abspath(second):  # noqa: PTH100
        return True
    return first.is_file() and second.is_file() and filecmp.cmp(first, second, shallow=False)


def create_numbered(path: Path, create: Callable[..., None] = Path.mkdir) -> Path:
    """Create the first of ``NAME.EXT``, ``NAME2.EXT`` and so on that does not exist, by
    ``Path.mkdir`` or ``Path.touch``, and return its path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    candidate = path
    number = 1
    while True:
        with suppress(FileExistsError):
            create(candidate, exist_ok=False)
            return candidate
        number += 1
        candidate = path.with_stem(f'{path.stem}{number}')


def check_writable(folder: Path, name: str) -> None:
    """Raise a UserError that begins with ``name`` if a folder cannot be written.

    The folder need not exist yet.
    """
    existing = next(path for path in (folder, *make_absolute(folder).parents) if path.exists())
    try:
        # Try to write a file, because permissions do not tell that, for example, the file system is
        # read-only.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(
            f'{name} cannot be written ({existing}: {error.strerror}). Choose another path'
        ) from None


def check_target(target: Path, *suffixes: str, overwrite: bool = False) -> None:
    """Reject a file that has another suffix, exists or cannot be written."""
    if target.suffix.lower() not in suffixes:
        raise UserError(f'{target}: expected a name that ends in {" or ".join(suffixes)}')
    if target.is_dir() or (target.exists() and not overwrite):
        raise UserError(f'{target} already exists. Choose another file, or remove it')
    check_writable(target.parent, str(target))


@contextmanager
def write_atomically(path: Path, flush: bool = True) -> Iterator[Path]:
    """Yield the path of a temporary file, to which the caller writes, and rename it to ``path`` if
    it raises no error.

    An existing file is replaced, and a missing folder is created. ``flush`` waits until the content
    is on disk (fsync).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file's name may have 255 bytes, and a character 4.
    temporary = path.with_name(f'{path.name[-50:]}.{uuid4().hex[:8]}{TEMPORARY_SUFFIX}')
    try:
        yield temporary
        if flush:
            with temporary.open('rb') as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def write_image(path: Path, picture: 'NDArray[Any]') -> Path:
    """Write an image atomically, in the format of the path's suffix, and return the path.

    ``picture`` is (height, width, 3) uint8 in BGR order, or (height, width) uint8 or uint16.
    """
    import cv2  # which most commands that import this module do not need

    # cv2.imwrite would not report a full disk.
    is_encoded, content = cv2.imencode(path.suffix, picture)
    if not is_encoded:
        raise UserError(
            f'{path} cannot be written: {path.suffix} does not support a picture of '
            f'{picture.shape[1]} x {picture.shape[0]} pixels'
        )
    with write_atomically(path, flush=False) as temporary:
        temporary.write_bytes(content.tobytes())
    return path


def walk(start: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder with the names of its folders and files, as ``os.walk`` does.

    It also follows links to folders, but yields each folder once: at its own path or, if that is
    outside of ``start``, at the first link. What a caller removes from the list of folders is not
    visited.
    """
    # The real paths of folders that are not visited again. A link to a folder above would lead
    # here again.
    seen = set(map(str, start.resolve().parents))
    # os.walk does not follow links, so each is a start of its own. Links come last: a folder
    # inside is visited at its own path, not at that of a link.
    starts = [start]
    while starts:
        for path, folders, names in os.walk(starts.pop(0), onerror=raise_unreadable):
            parent = Path(path)
            real = os.path.realpath(parent)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            yield parent, folders, names
            starts += [parent / name for name in folders if (parent / name).is_symlink()]


def raise_unreadable(error: OSError) -> None:
    raise UserError(f'{error.filename} cannot be read ({error.strerror}). Check its permissions')
