"""Whether a checkpoint is what was written: digests inside and beside it, the zip's checksums; and writing it so."""

import hashlib
import logging
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from ..errors import CheckpointError, DamagedCheckpointError, first_line
from ..files import is_not_offered, written_together, written_whole
from .torch_files import ZIP_SIGNATURE

# What the comment at the end of a zip archive begins with that is its digest; 64 hexadecimal digits follow.
DIGEST_MARK = b'mmgcvit-sha256:'
LENGTH_OF_DIGEST = 64
# How an archive without a comment ends: a record of that length and signature; last stands the comment's length.
LENGTH_OF_END = 22
SIGNATURE_OF_END = b'PK\x05\x06'
COMMENT_LENGTH = 2
CHUNK = 1 << 20


def save_whole(content: Any, path: Path) -> None:
    """``torch.save`` of a file that is whole or not there: written beside, with its digest, flushed to disk, renamed.

    A file that is there is replaced.
    """
    with written_whole(path) as unfinished:
        torch.save(content, unfinished)
        add_digest(unfinished)


def save_whole_safetensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Likewise of a safetensors file and its digest, a file beside it: both or neither."""
    with written_together(path, beside(path)) as (unfinished, record):
        write_safetensors(tensors, unfinished, metadata)
        record.write_text(digest_line(unfinished, path.name))


def write_safetensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write a safetensors file; safetensors' own are for their owner alone, and its errors have no number."""
    from safetensors.torch import save

    path.write_bytes(save({name: tensor.contiguous() for name, tensor in tensors.items()}, dict(metadata)))


def add_digest(path: Path) -> None:
    """Give a file of torch.save its SHA-256, as the comment that a zip archive may end in; torch reads past it.

    It covers every byte before it, so that a file carries its digest wherever it is copied or renamed. Where a file
    system lets nobody change a file that is written, the checksums of the archive are all that it has.

    Raises:
        ValueError: It is no archive, or has a comment already.
    """
    size = path.stat().st_size
    try:
        with path.open('r+b') as file:
            if file.read(len(ZIP_SIGNATURE)) != ZIP_SIGNATURE:
                raise ValueError(f'{path} is no zip archive; torch.save writes one')
            file.seek(-COMMENT_LENGTH, os.SEEK_END)
            if file.read() != bytes(COMMENT_LENGTH):
                raise ValueError(f'{path} has a comment already')
            file.seek(-COMMENT_LENGTH, os.SEEK_END)
            file.write((len(DIGEST_MARK) + LENGTH_OF_DIGEST).to_bytes(COMMENT_LENGTH, 'little') + DIGEST_MARK)
            file.flush()
            file.write(sha256(path).encode())
    except OSError as error:
        if not is_not_offered(error) or path.stat().st_size != size:
            raise
        message = 'checkpoints have no digest: their file system changes no file that is written'
        print_log(f'{message} ({error.strerror})', 'current', logging.WARNING)


def sha256(path: Path, without_last: int = 0) -> str:
    """The SHA-256 of a file, all of it or without so many bytes at its end."""
    digest, left = hashlib.sha256(), path.stat().st_size - without_last
    with path.open('rb') as file:
        while left > 0 and (chunk := file.read(min(CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()


def digest_line(path: Path, name: str) -> str:
    """The SHA-256 of a file of any format as ``sha256sum`` writes it, for a file that will be called so."""
    return f'{sha256(path)}  {name}\n'


def beside(path: Path) -> Path:
    """Where the digest of a file lies that has none inside."""
    return path.with_name(f'{path.name}.sha256')


def recorded_digest(record: Path) -> str | None:
    """The digest in a file of ``sha256sum``; None where there is no such file, as while another process replaces it."""
    try:
        with record.open('rb') as file:
            digest = re.match(r'[0-9a-fA-F]{64}\b', file.read(4096).decode('latin-1'))
    except (FileNotFoundError, IsADirectoryError):
        return None
    if digest is None:
        raise CheckpointError(f'{record} holds no SHA-256; write it anew (sha256sum {record.stem} > {record.name})')
    return digest[0].lower()


def digest_in(path: Path) -> str | None:
    """The digest in a file of torch.save, ``''`` if it has none; None for a file of another format."""
    with path.open('rb') as file:
        if file.read(len(ZIP_SIGNATURE)) != ZIP_SIGNATURE:
            return None
        file.seek(max(path.stat().st_size - len(DIGEST_MARK) - LENGTH_OF_DIGEST, 0))
        end = file.read()
    if end.startswith(DIGEST_MARK):
        return end[len(DIGEST_MARK) :].decode('latin-1')
    # torch writes no comments: another one is a digest of which something was altered.
    if not end[-LENGTH_OF_END:].startswith(SIGNATURE_OF_END):
        raise DamagedCheckpointError(f'{path} is damaged: it does not end as a checkpoint does. Was it cut short?')
    return ''


def check_content(path: Path) -> None:
    """Compare a file of any format with its digests, inside of it and beside it; an archive without, its checksums."""
    inside = digest_in(path)
    if inside and sha256(path, without_last=LENGTH_OF_DIGEST) != inside:
        raise DamagedCheckpointError(f'{path} is damaged: its content does not agree with the digest at its end')
    recorded = recorded_digest(beside(path))
    if recorded is not None and sha256(path) != recorded:
        raise DamagedCheckpointError(
            f'{path} is not the file that its digest was recorded of: {beside(path).name} beside it has another '
            'SHA-256. Fetch the file again; if you replaced it on purpose, remove that record'
        )
    if inside == '':
        try:
            with zipfile.ZipFile(path) as archive:
                torn = archive.testzip()
        except Exception as error:  # zipfile has no one kind of error for what a file can be.
            torn = first_line(error)
        if torn is not None:
            raise DamagedCheckpointError(f'{path} is damaged ({torn}). Was it cut short?')


def check_whole(path: Path) -> None:
    """Make sure that a file of torch.save is what was written, without loading it.

    By its digest, or where it has none by the checksums of the zip archive that it is.

    Raises:
        DamagedCheckpointError: It is empty, torn or altered, or no archive.
        CheckpointError: There is no such file.
    """
    if not path.is_file():
        raise CheckpointError(f'there is no checkpoint {path}')
    if digest_in(path) is None:
        raise DamagedCheckpointError(f'{path} is {"no file of torch.save" if path.stat().st_size else "empty"}')
    check_content(path)
