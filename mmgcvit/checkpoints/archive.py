"""The zip archives that torch.save writes: opened only if they are as torch writes them, read within their size."""

import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import torch

from ..errors import CheckpointError, DamagedCheckpointError, NotDataError, first_line

SIGNATURE = b'PK\x03\x04'
END = struct.Struct('<4s4H2LH')
END_64_LOCATOR = struct.Struct('<4sLQL')
END_64 = struct.Struct('<4sQ2H2L4Q')
LARGEST_DIRECTORY = 64 << 20
CHUNK = 1 << 20
# What a digest at the end of the archive, as its comment, begins with; 64 hexadecimal digits follow.
DIGEST_MARK = b'mmgcvit-sha256:'
LENGTH_OF_DIGEST = 64


class Archive:
    """One archive of torch.save, open for reading.

    Attributes:
        folder: The folder that its entries lie in.
    """

    def __init__(self, zip_file: zipfile.ZipFile, length: int) -> None:
        self.zip_file = zip_file
        names = zip_file.namelist()
        self.folder = names[0].split('/')[0] if names else ''
        self.unread = set(names)
        check_entries(zip_file.infolist(), self.folder, length)

    def __contains__(self, name: str) -> bool:
        return f'{self.folder}/{name}' in self.zip_file.NameToInfo

    def size(self, name: str) -> int:
        """Bytes of an entry."""
        return self.zip_file.getinfo(f'{self.folder}/{name}').file_size

    def read(self, name: str) -> bytes:
        """The bytes of an entry, which agree with its CRC."""
        self.unread.discard(f'{self.folder}/{name}')
        return self.zip_file.read(f'{self.folder}/{name}')

    def read_numbers(self, name: str) -> torch.UntypedStorage:
        """The bytes of an entry, which agree with its CRC, as the storage of tensors."""
        full_name = f'{self.folder}/{name}'
        self.unread.discard(full_name)
        numbers = torch.empty(self.size(name), dtype=torch.uint8, device='cpu')
        view, place = memoryview(numbers.numpy()), 0
        with self.zip_file.open(full_name) as entry:
            while read := entry.readinto(view[place : place + CHUNK]):
                place += read
            if place != len(view) or entry.read(1):
                raise zipfile.BadZipFile(f'{full_name} is cut short')
        return numbers.untyped_storage()

    def check_the_rest(self) -> None:
        """Compare the entries that nobody has read with their CRCs."""
        for name in sorted(self.unread):
            with self.zip_file.open(name) as entry:
                while entry.read(CHUNK):
                    pass


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an archive of torch.save.

    Raises:
        DamagedCheckpointError: It does not end as archives do, or has another shape than torch gives them.
        CheckpointError: It is a program.
    """
    with path.open('rb') as file:
        try:
            check_end(file, path.stat().st_size)
            with zipfile.ZipFile(file) as zip_file:
                if any(name.endswith('/constants.pkl') for name in zip_file.namelist()):
                    raise CheckpointError(
                        f'{path} is a TorchScript program, not a checkpoint; save its weights alone where it was made '
                        '(torch.save(program.state_dict(), ...))'
                    )
                yield Archive(zip_file, path.stat().st_size)
        except (CheckpointError, NotDataError):
            raise
        except Exception as error:  # zipfile has no one kind of error for what a file can be.
            raise DamagedCheckpointError(
                f'{path} is damaged: it begins as a checkpoint, and then does not go on as one ({first_line(error)}). '
                'Was it cut short? Fetch it again'
            ) from None


def check_end(file: IO[bytes], length: int) -> None:
    """Make sure that a file ends as an archive, with a directory of bounded size and no comment but a digest.

    Raises:
        BadZipFile: It does not.
    """
    ends_at = length - len(DIGEST_MARK) - LENGTH_OF_DIGEST if held_digest(file, length) else length
    start = ends_at - END.size
    _, _, _, _, _, directory_size, _, comment_length = unpack(file, END, start, b'PK\x05\x06')
    if comment_length != length - ends_at:
        raise zipfile.BadZipFile('its comment is no digest')
    locator = start - END_64_LOCATOR.size
    if locator >= 0 and read_at(file, locator, 4) == b'PK\x06\x07':
        _, _, end_64, _ = unpack(file, END_64_LOCATOR, locator, b'PK\x06\x07')
        directory_size = unpack(file, END_64, end_64, b'PK\x06\x06')[8]
    if directory_size > min(LARGEST_DIRECTORY, length):
        raise zipfile.BadZipFile(f'a directory of {directory_size:,} bytes')


def held_digest(file: IO[bytes], length: int) -> str | None:
    """The digest at the end of an archive, None if it has none."""
    comment = read_at(file, length - len(DIGEST_MARK) - LENGTH_OF_DIGEST, len(DIGEST_MARK) + LENGTH_OF_DIGEST)
    if not comment.startswith(DIGEST_MARK):
        return None
    return comment.removeprefix(DIGEST_MARK).decode('latin-1')


def read_at(file: IO[bytes], place: int, count: int) -> bytes:
    """Bytes of a file, none where there is no such place."""
    if place < 0:
        return b''
    file.seek(place)
    return file.read(count)


def unpack(file: IO[bytes], record: struct.Struct, place: int, signature: bytes) -> tuple:
    """The fields of a record at some place of a file."""
    content = read_at(file, place, record.size)
    if len(content) != record.size or not content.startswith(signature):
        raise zipfile.BadZipFile('it does not end as an archive does')
    return record.unpack(content)


def check_entries(entries: list[zipfile.ZipInfo], folder: str, length: int) -> None:
    """Make sure that entries lie in one folder, each stored once as it is: what is read is not larger than the file.

    Raises:
        BadZipFile: One of them is not so.
    """
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise zipfile.BadZipFile('two entries of one name')
    for entry in entries:
        if not entry.filename.startswith(f'{folder}/') or entry.is_dir():
            raise zipfile.BadZipFile('entries outside of its folder')
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.compress_size != entry.file_size:
            raise zipfile.BadZipFile('compressed or encrypted entries')
    if sum(entry.file_size for entry in entries) > length:
        raise zipfile.BadZipFile('entries that are larger than the file')
