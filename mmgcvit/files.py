"""Files and folders that are there whole or not at all, and whether they can be written."""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError

if TYPE_CHECKING:
    import numpy as np

# What is read as an image by its name, and from elsewhere.
IMAGE_ENDINGS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff')
IMAGE_ENDINGS += ('.ppm', '.pgm', '.jp2', '.avif', '.heic')
ADDRESSES = ('http://', 'https://')
# What the name of a file or folder ends in while it is written.
UNFINISHED = '.unfinished'
# How a file system, or who has mounted it, says that it does not do what it was asked for.
NOT_OFFERED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.ESPIPE)
NOT_OFFERED += (errno.EPERM, errno.EACCES, errno.EROFS)


def from_root(path: str | Path) -> Path:
    """A path from the root without ``..`` in it; links keep their own names."""
    return Path(os.path.normpath(Path(path).absolute()))


def text_of(file: Path) -> str:
    """The text of a file in UTF-8, without the mark of that which some editors begin it with."""
    try:
        return file.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError:
        raise UserError(f'{file} is no text in UTF-8; save it as such') from None


def counted_up(path: Path) -> Path:
    """The path, if nothing or an empty folder is there, or else the first such of its name with 2, 3, ... behind it."""
    others = (path.with_name(f'{path.stem}{number}{path.suffix}') for number in itertools.count(2))
    return next(p for p in itertools.chain([path], others) if not p.exists() or (p.is_dir() and not any(p.iterdir())))


def is_not_offered(error: OSError) -> bool:
    """Whether a file system does not do what it was asked for at all, as networks' do not lock, clouds' not append."""
    return error.errno in NOT_OFFERED


def existing(path: Path) -> Path:
    """A path, or the nearest folder above it that is there."""
    return next(each for each in (path, *from_root(path).parents) if each.exists())


def refusal_of(folder: Path) -> OSError | None:
    """What the system says where files cannot be written and renamed in a folder that is there; None where they can."""
    try:
        # Permissions do not tell of everything: root may write, and file systems refuse.
        with tempfile.TemporaryDirectory(dir=folder) as made:
            for name in 'ab':
                Path(made, name).touch()
            Path(made, 'a').replace(Path(made, 'b'))
    except OSError as error:
        return error


def append_refusal(folder: Path) -> OSError | None:
    """What a file system says that lets nobody write on at a file's end, as mounts of object stores; None otherwise."""
    with suppress(OSError), tempfile.TemporaryDirectory(dir=existing(folder)) as made:
        (file := Path(made, 'file')).touch()
        try:
            file.open('a').close()
        except OSError as error:
            return error if is_not_offered(error) else None
    return None


def check_writable(folder: Path, name: str) -> None:
    """Refuse a folder in which nothing can be written, or that cannot be made, before anything is computed.

    It need not be there, nor is made. A UserError calls it by the name.
    """
    refusal = refusal_of(there := existing(folder))
    if refusal is not None:
        raise UserError(f'{name} cannot be written ({there}: {refusal.strerror}); name another place')


def check_target(target: Path, ending: str, overwrite: bool | None = False) -> None:
    """Refuse a file to write that has another ending, is there already, or cannot be written.

    Where it is there, ``overwrite`` allows to replace it; None where a command knows no such option.
    """
    if target.suffix != ending:
        raise UserError(f'{target}: expected a name that ends in {ending}')
    if target.is_dir():
        raise UserError(f'{target} is a folder; name a file')
    if target.exists() and not overwrite:
        instead = 'remove it first' if overwrite is None else 'replace it with --overwrite'
        raise UserError(f'{target} exists; name another file, or {instead}')
    check_writable(target.parent, str(target))


@contextmanager
def written_whole(path: Path, flush: bool = True) -> Iterator[Path]:
    """A file to write beside its place; it takes its name at the end: a kill or a power cut leaves the old one whole.

    Several processes and threads may write the same file; the last one's stays.

    Args:
        path: The file; its folder is made. What is there is replaced, a link in its place too.
        flush: Whether to wait for the disk. Without it a power cut may leave an empty file, a kill still not.

    Yields:
        The path to write to: a name of its own that ends in :data:`UNFINISHED`.

    Raises:
        OSError: It cannot be written; nothing of it is left then.
    """
    with written_together(path, flush=flush) as (unfinished,):
        yield unfinished


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 whole; see :func:`written_whole`."""
    with written_whole(path) as unfinished:
        unfinished.write_text(text, encoding='utf-8')


@contextmanager
def written_together(*paths: Path, flush: bool = True) -> Iterator[list[Path]]:
    """Likewise several files of one folder that belong together: none has its name before all of them are written.

    The last one says that the others are there: it takes its name last, and an old one is removed before they do.
    """
    folder, token = paths[0].parent, secrets.token_hex(4)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = [path.with_name(f'{path.name}.{token}{UNFINISHED}') for path in paths]
    try:
        yield unfinished
        if flush:
            for each in unfinished:
                flush_to_disk(each)
        with ExitStack() as turn:
            if len(paths) > 1:
                turn.enter_context(taking_turns(folder))
                paths[-1].unlink(missing_ok=True)
            for each, path in zip(unfinished, paths, strict=True):
                take_place(each, path, flush)
    except BaseException:
        for each in unfinished:
            each.unlink(missing_ok=True)
        raise


def take_place(unfinished: Path, path: Path, flush: bool = True) -> None:
    """Give a file that is written its name, and have the disk keep that where it can be asked to."""
    unfinished.replace(path)
    if flush:
        # The file is there: that a folder cannot be opened or flushed, as on some networks, takes nothing from it.
        with suppress(OSError):
            flush_to_disk(path.parent)


@contextmanager
def taking_turns(path: Path) -> Iterator[None]:
    """One process and thread at a time with a folder, or with a file made for this; all at once where nothing locks."""
    with ExitStack() as opened:
        with suppress(OSError):
            # On NFS only what is open for writing can be locked so.
            descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT)
            opened.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Before it is closed: in a process that is forked meanwhile it stays open.
            opened.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)
        yield


def flush_to_disk(path: Path) -> None:
    """Have the disk keep a file's content, or a folder's names, through a power cut, where it can be asked to."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if not is_not_offered(error):
            raise


def write_image(path: Path, picture: np.ndarray) -> Path:
    """Write a picture whole in the format that its name says; a lost one can be drawn again, so no disk is waited for.

    Args:
        path: Ends in ``.jpg``, ``.png`` or another that OpenCV writes.
        picture: (height, width, 3) uint8, blue, green, red; or (height, width) of 8 or 16 bits.

    Returns:
        The path.

    Raises:
        UserError: OpenCV cannot write so many pixels in this format.
        OSError: The file cannot be written.
    """
    # Not imported with the module, which nearly every command needs.
    import cv2

    # OpenCV's own writing says nothing of a full disk.
    try:
        done, content = cv2.imencode(path.suffix, picture)
    except cv2.error:
        done = False
    if not done:
        height, width = picture.shape[:2]
        raise UserError(f'OpenCV cannot write {width} x {height} pixels as {path}')
    with written_whole(path, flush=False) as unfinished:
        unfinished.write_bytes(content.tobytes())
    return path


def is_up_to_date(out: Path, options_file: str, options: Mapping[str, Any]) -> bool:
    """Whether a folder holds the very set that these options make.

    Raises:
        UserError: There is something that the tool did not make.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    check_made_by_tool(out, options_file)
    return json.loads((out / options_file).read_text()) == options


def check_made_by_tool(folder: Path, options_file: str) -> None:
    """Refuse to replace what somebody else has made, which has no such file."""
    if not (folder / options_file).is_file():
        raise UserError(f'{folder} exists and was not made by this tool; name another folder, or remove it first')


@contextmanager
def replaced_whole(out: Path, options_file: str, options: Mapping[str, Any]) -> Iterator[Path]:
    """A folder to write to, beside its place and moved there at the end: an interrupted run leaves what was there.

    Args:
        out: The folder, of which :func:`is_up_to_date` has said that it may be replaced.
        options_file: The name of a file in it that says what it was made with.
        options: What to write there.

    Raises:
        UserError: It cannot be written, as on a full disk; or is the current folder, or stands beside one that is none
            of this tool's.
    """
    out = out.absolute()
    if out == Path.cwd():
        raise UserError(f'{out} is the current folder, and would be replaced; name one in it')
    unfinished = out.with_name(out.name + UNFINISHED)
    if unfinished.exists():
        check_made_by_tool(unfinished, options_file)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        (unfinished / options_file).write_text(json.dumps(options))
        yield unfinished
        shutil.rmtree(out, ignore_errors=True)
        unfinished.rename(out)
    except BaseException as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if isinstance(error, OSError):
            raise UserError(f'{out} could not be written: {error}. Make room, or name another folder') from None
        raise
