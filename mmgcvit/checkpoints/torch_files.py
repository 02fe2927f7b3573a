"""Reading files of torch.save, the zip archives of today and the rows of pickles before torch 1.6, as data."""

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, DamagedCheckpointError, NotDataError, first_line
from .archive import SIGNATURE, Archive, open_archive
from .kinds import Storage, StorageKind, names_in_files
from .pickles import read_pickle

PICKLE = 'data.pkl'
BEFORE_ZIP = 0x1950A86A20F9469CFC6C
PROTOCOL_BEFORE_ZIP = 1001
MOST_PICKLED = 1 << 30
NOT_DATA = (
    'which is not among the harmless things that checkpoints hold and could run code. If the file is your own, '
    '--trust-checkpoint lets it (train, test and convert have it); or save its weights alone (torch.save(checkpoint['
    "'state_dict'], ...)) where it was made"
)


def read_torch(path: Path) -> Any:
    """Read a file of torch.save.

    Raises:
        CheckpointError: It holds more than data.
        DamagedCheckpointError: It is torn or altered, or no such file.
    """
    with path.open('rb') as file:
        head = file.read(len(SIGNATURE))
    if not head:
        raise DamagedCheckpointError(f'{path} is empty')
    read = read_zip if head == SIGNATURE else read_before_zip
    try:
        return read(path)
    except NotDataError as refusal:
        raise CheckpointError(f'{path} is refused: reading it needs {refusal}, {NOT_DATA}') from None


def read_zip(path: Path) -> Any:
    """Read a zip archive of torch.save, every entry of which agrees with its checksum.

    Raises:
        CheckpointError: It cannot be read; see :func:`read_torch`.
        NotDataError: It holds more than data.
    """
    with open_archive(path) as archive:
        content = content_of(archive, path, storages_of(archive))
        archive.check_the_rest()
    return content


def read_without_numbers(path: Path) -> Any:
    """Read a zip archive of torch.save but for the numbers of its tensors, which come on torch's meta device.

    Raises:
        CheckpointError: It cannot be read; see :func:`read_torch`.
        NotDataError: It holds more than data.
    """
    with open_archive(path) as archive:
        return content_of(archive, path, storage_without_numbers)


def content_of(archive: Archive, path: Path, storage: Callable[[Any], Storage]) -> Any:
    """What the pickle of an archive describes, with storages from a function; see :func:`read_zip`."""
    if PICKLE not in archive or archive.size(PICKLE) > MOST_PICKLED:
        raise DamagedCheckpointError(f"{path} is no checkpoint: a zip archive without torch's {PICKLE}")
    if 'byteorder' in archive and archive.read('byteorder') != b'little':
        raise CheckpointError(f'{path} was written on a machine of the other byte order; save it anew on this one')
    pickled = archive.read(PICKLE)
    try:
        return read_pickle(pickled, names_in_files(), storage)
    except (NotDataError, CheckpointError):
        raise
    except Exception as error:  # A crafted pickle can end in any error.
        raise CheckpointError(f'{path} cannot be read: its pickle is malformed ({first_line(error)})') from None


def storage_without_numbers(reference: Any) -> Storage:
    """A storage as a pickle describes it, on torch's meta device."""
    _, dtype, length = described(reference)
    return Storage(torch.UntypedStorage(length, device='meta'), dtype)


def storages_of(archive: Archive) -> Callable[[Any], Storage]:
    """What finds a storage of an archive by what its pickle says of it; each is read once."""
    read: dict[str, torch.UntypedStorage] = {}

    def find(reference: Any) -> Storage:
        key, dtype, length = described(reference)
        name = f'data/{key}'
        if name not in archive or archive.size(name) != length:
            raise NotDataError(f'numbers that it does not have ({name})')
        if key not in read:
            read[key] = archive.read_numbers(name)
        return Storage(read[key], dtype)

    return find


def described(reference: Any) -> tuple[str, torch.dtype | None, int]:
    """What a pickle says of a storage: its key, its dtype and how many bytes it has."""
    if type(reference) is not tuple or len(reference) < 5 or reference[0] != 'storage':
        raise NotDataError('a reference to no storage')
    _, kind, key, _, count, *view = reference
    if not isinstance(kind, StorageKind) or type(key) is not str or type(count) is not int or view not in ([], [None]):
        raise NotDataError('an unusual reference to a storage')
    return key, kind.dtype, count * (1 if kind.dtype is None else kind.dtype.itemsize)


def read_before_zip(path: Path) -> Any:
    """Read a file of torch.save as it was before zip archives: five pickles, then the numbers.

    It is gone through twice, for the numbers stand after what refers to them.

    Raises:
        DamagedCheckpointError: It is no such file, or ends too early.
        NotDataError: It holds more than data.
    """
    with path.open('rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            if read_plain(content) != BEFORE_ZIP or read_plain(content) != PROTOCOL_BEFORE_ZIP:
                raise ValueError
        except Exception:
            raise DamagedCheckpointError(
                f'{path} is no checkpoint: neither a file of torch.save nor safetensors'
            ) from None
        try:
            return read_rows(content)
        except NotDataError:
            raise
        except Exception as error:
            raise DamagedCheckpointError(
                f'{path} is damaged: it begins as a checkpoint, and then does not go on as one ({first_line(error)}). '
                'Was it cut short? Fetch it again'
            ) from None


def read_plain(content: mmap.mmap) -> Any:
    """The next pickle, of plain values."""
    return read_pickle(content, {}, described)


def read_rows(content: mmap.mmap) -> Any:
    """What follows the first two pickles: facts of the machine, the content, the keys of the storages, the storages."""
    if read_plain(content).get('little_endian') is not True:
        raise ValueError('of the other byte order')
    start, found = content.tell(), {}

    def note(reference: Any) -> Storage:
        key, dtype, length = described(reference)
        found[key] = length, 1 if dtype is None else dtype.itemsize
        return storage_without_numbers(reference)

    def find(reference: Any) -> Storage:
        key, dtype, length = described(reference)
        if length != numbers[key].nbytes():
            raise NotDataError('one storage of two lengths')
        return Storage(numbers[key], dtype)

    read_pickle(content, names_in_files(), note)
    numbers = {key: read_numbers(content, *found[key]) for key in read_plain(content)}
    if content.tell() != len(content):
        raise ValueError('more than it should have')
    content.seek(start)
    return read_pickle(content, names_in_files(), find)


def read_numbers(content: mmap.mmap, length: int, item_size: int) -> torch.UntypedStorage:
    """The next storage, after the count of its items."""
    count = int.from_bytes(content.read(8), 'little')
    raw = content.read(length) if count * item_size == length else b''
    if len(raw) != length:
        raise ValueError('a storage that is cut short')
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8).untyped_storage() if raw else torch.UntypedStorage(0)
