"""Whether a checkpoint is what was written: digests inside of it and beside it, and the zip's own checksums."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError, DamagedCheckpointError
from .archive import DIGEST_MARK, LENGTH_OF_DIGEST, SIGNATURE, held_digest, open_archive

CHUNK = 1 << 20
# Where the length of an archive's comment stands, from its end.
COMMENT_LENGTH = 2
# What the name of a file ends in while it is written.
UNFINISHED = '.unfinished'


def save_whole(content: Any, path: Path) -> None:
    """``torch.save`` of a file that is whole or not there: written beside, with its digest, flushed to disk, renamed.

    Args:
        content: What to save.
        path: A file that is there is replaced.
    """
    unfinished = unfinished_of(path)
    try:
        torch.save(content, unfinished)
        add_digest(unfinished)
        put_in_place(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def save_whole_safetensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Likewise of a safetensors file, with its digest in a file beside it.

    Args:
        tensors: What to save.
        path: A file that is there is replaced.
        metadata: What stands in its header.
    """
    unfinished = unfinished_of(path)
    try:
        write_safetensors(tensors, unfinished, metadata)
        put_in_place(unfinished, path)
        write_digest_beside(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def write_safetensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write a safetensors file that others may read as any new file; safetensors' own is for its owner alone."""
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, dict(metadata))
    path.chmod(mode)


def unfinished_of(path: Path) -> Path:
    """Where a file is written before it has its place."""
    return path.with_name(path.name + UNFINISHED)


def put_in_place(unfinished: Path, path: Path) -> None:
    """Flush a file to disk and give it its name, so that after a power cut there is the old file or the new one."""
    for flushed in (unfinished, None, path.parent):
        if flushed is None:
            unfinished.replace(path)
            continue
        descriptor = os.open(flushed, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def add_digest(path: Path) -> None:
    """Give a file of torch.save its SHA-256, as the comment that a zip archive may end in; torch reads past it.

    It covers every byte before it, so that a file carries its digest wherever it is copied or renamed.

    Raises:
        ValueError: It is no archive, or has a comment already.
    """
    with path.open('r+b') as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise ValueError(f'{path} is no zip archive; torch.save writes one')
        file.seek(-COMMENT_LENGTH, os.SEEK_END)
        if file.read() != bytes(COMMENT_LENGTH):
            raise ValueError(f'{path} has a comment already')
        file.seek(-COMMENT_LENGTH, os.SEEK_END)
        file.write((len(DIGEST_MARK) + LENGTH_OF_DIGEST).to_bytes(COMMENT_LENGTH, 'little') + DIGEST_MARK)
    digest = sha256(path)
    with path.open('ab') as file:
        file.write(digest.encode())


def sha256(path: Path, without_last: int = 0) -> str:
    """The SHA-256 of a file.

    Args:
        path: The file.
        without_last: How many bytes at its end to leave out.
    """
    digest, left = hashlib.sha256(), path.stat().st_size - without_last
    with path.open('rb') as file:
        while left > 0 and (chunk := file.read(min(CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()


def write_digest_beside(path: Path) -> None:
    """Write the SHA-256 of a file of any format to ``FILE.sha256``, as ``sha256sum`` does."""
    beside(path).write_text(f'{sha256(path)}  {path.name}\n')


def beside(path: Path) -> Path:
    """Where the digest of a file lies that has none inside."""
    return path.with_name(f'{path.name}.sha256')


def check_digest(path: Path) -> bool:
    """Compare a file with its digests, inside of it and beside it; whether it has one inside.

    Raises:
        DamagedCheckpointError: It differs from one.
        CheckpointError: The file beside holds no digest.
    """
    with path.open('rb') as file:
        is_archive = file.read(len(SIGNATURE)) == SIGNATURE
        inside = held_digest(file, path.stat().st_size) if is_archive else None
    if inside is not None and sha256(path, without_last=LENGTH_OF_DIGEST) != inside:
        raise DamagedCheckpointError(f'{path} is damaged: its content does not agree with the digest at its end')
    recorded = beside(path)
    if recorded.is_file() and sha256(path) != recorded_digest(recorded):
        raise DamagedCheckpointError(
            f'{path} is not the file that its digest was recorded of: {recorded.name} beside it has another SHA-256. '
            'Fetch the file again; if you replaced it on purpose, remove that record'
        )
    return inside is not None


def recorded_digest(record: Path) -> str:
    """The digest in a file of ``sha256sum``.

    Raises:
        CheckpointError: It holds none.
    """
    with record.open('rb') as file:
        text = file.read(4096).decode('latin-1')
    digest = re.match(r'[0-9a-fA-F]{64}\b', text)
    if digest is None:
        raise CheckpointError(f'{record} holds no SHA-256; write it anew (sha256sum {record.stem} > {record.name})')
    return digest[0].lower()


def check_whole(path: Path) -> None:
    """Make sure that a file of torch.save is what was written, without loading it.

    By its digest, or where it has none by the CRCs of the zip archive that it is.

    Raises:
        DamagedCheckpointError: It is empty, torn or altered, or no archive.
        CheckpointError: There is no such file.
    """
    if not path.is_file():
        raise CheckpointError(f'there is no checkpoint {path}')
    with path.open('rb') as file:
        head = file.read(len(SIGNATURE))
    if head != SIGNATURE:
        raise DamagedCheckpointError(f'{path} is {"no file of torch.save" if head else "empty"}')
    if not check_digest(path):
        with open_archive(path) as archive:
            archive.check_the_rest()
