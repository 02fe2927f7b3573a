"""Files and folders that are there whole or not at all, and whether they can be written."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# What the name of a file ends in while it is written.
UNFINISHED = '.unfinished'


def refusal_of(folder: Path) -> OSError | None:
    """What the system says where nothing can be written into a folder that is there; None where something can."""
    try:
        # Permissions do not tell of everything: root may write, and file systems refuse.
        with tempfile.TemporaryDirectory(dir=folder):
            return None
    except OSError as error:
        return error


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A file to write beside its place, which takes its name at the end: a kill or power cut leaves the old one whole.

    Args:
        path: The file; its folder is made. What is there is replaced, a link in its place too.

    Yields:
        The path to write to: the same name with :data:`UNFINISHED` behind it.

    Raises:
        OSError: It cannot be written; nothing of it is left then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        yield unfinished
        flush_to_disk(unfinished)
        unfinished.replace(path)
        flush_to_disk(path.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def flush_to_disk(path: Path) -> None:
    """Have the disk keep a file's content, or a folder's names, through a power cut, where it can be asked to."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems of networks do not know this of folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def from_root(path: str | Path) -> Path:
    """A path from the root without ``..`` in it; links keep their own names."""
    return Path(os.path.normpath(Path(path).absolute()))


def is_up_to_date(out: Path, options_file: str, options: Mapping[str, Any]) -> bool:
    """Whether a folder holds the very set that these options make.

    Raises:
        SystemExit: There is something that the tool did not make.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    made_with = out / options_file
    if not made_with.is_file():
        raise SystemExit(f'{out} exists and was not made by this tool; name another folder, or remove it first')
    return json.loads(made_with.read_text()) == options


@contextmanager
def replaced_whole(out: Path, options_file: str, options: Mapping[str, Any]) -> Iterator[Path]:
    """A folder to write to, beside its place and moved there at the end: an interrupted run leaves what was there.

    Raises:
        SystemExit: It cannot be written, as on a full disk; or is the current folder, or stands beside one that is none
            of this tool's.
    """
    out = out.absolute()
    if out == Path.cwd():
        raise SystemExit(f'{out} is the current folder, and would be replaced; name one in it')
    unfinished = out.with_name(out.name + '.unfinished')
    marker = unfinished / f'{options_file}.unfinished'
    if unfinished.exists() and not marker.is_file():
        raise SystemExit(f'{unfinished} exists and was not made by this tool; name another folder, or remove it first')
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        marker.touch()
        yield unfinished
        marker.unlink()
        (unfinished / options_file).write_text(json.dumps(options))
        shutil.rmtree(out, ignore_errors=True)
        unfinished.rename(out)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise SystemExit(f'{out} could not be written: {error}. Make room, or name another folder') from None
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an image (height, width, RGB) as JPEG.

    Raises:
        OSError: It cannot be written.
    """
    path.write_bytes(cv2.imencode('.jpg', image[..., ::-1], JPEG)[1].tobytes())


def write_labels(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write labels per pixel (height, width) as PNG.

    Raises:
        OSError: They cannot be written.
    """
    path.write_bytes(cv2.imencode('.png', labels)[1].tobytes())
