"""Check that the file of a checkpoint is intact, by its first bytes and its checksums, and say what
is wrong if a reader fails.
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import CheckpointError, get_first_line

ADVICE = 'It is probably incomplete. Copy or download it again'
FOLDER_FLAG = 0x10  # in a zip file's external attributes


def check_intact(path: Path) -> None:
    """Verify the CRC-32 checksums in a file of ``torch.save``, which ``torch.load`` does not.

    Safetensors files and files of torch before 1.6 have none: reading them detects only a wrong
    length. Raise a CheckpointError if the file is damaged, or is not a checkpoint.
    """
    if is_safetensors(path):
        return
    if not is_zip(path):
        with path.open('rb') as file:
            if file.read(1) == b'\x80':  # a pickle
                return
        raise CheckpointError(
            f'{path} is not a checkpoint, because neither torch.save nor safetensors wrote it. Use '
            'another file'
        )
    with raise_checkpoint_error(f'{path} is damaged', ADVICE), zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        for info in archive.infolist():
            # torch does not read what has the flag of a folder, and returns other memory.
            if info.external_attr & FOLDER_FLAG:
                damaged = info.filename
        if damaged:
            raise zipfile.BadZipFile(damaged)


def is_safetensors(path: Path) -> bool:
    """Return whether a file begins like a safetensors file: with the length of a JSON header and
    the header.
    """
    with path.open('rb') as file:
        head = file.read(9)
    return head[8:] == b'{' and int.from_bytes(head[:8], 'little') < path.stat().st_size


def is_zip(path: Path) -> bool:
    """Return whether ``torch.load`` reads a file as a zip archive."""
    with path.open('rb') as file:
        return file.read(4) == b'PK\x03\x04'


@contextmanager
def raise_checkpoint_error(
    problem: str, advice: str, errors: tuple[type[Exception], ...] = (Exception,)
) -> Iterator[None]:
    """Turn errors into a CheckpointError: ``PROBLEM (first line of the error). ADVICE``.

    By default they are all, for readers of other packages, in which a damaged or crafted file can
    raise any. Around code of this package, name those that the content of a file raises.
    """
    try:
        yield
    except errors as error:
        raise CheckpointError(f'{problem} ({get_first_line(error)}). {advice}') from error
