"""Read checkpoints of torch, safetensors and timm, from disk or the network, without running code
from them.
"""

import hashlib
import os
import re
import socket
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import torch
from filelock import FileLock

from ..errors import CheckpointError, check_installed, get_first_line
from ..host.files import compute_sha256, expand_user, is_url, write_atomically
from ..host.runners import log_warning
from .downloads import MAX_SILENCE, download
from .licences import find_limit
from .released import find_source
from .translating import StateDict
from .unpickling import SAFE_PICKLE, remove_placeholders

TIMM_SCHEME = 'timm://'
# torch and OpenMMLab end file names with the first digits of the file's SHA-256.
HASH_IN_NAME = re.compile(r'-([0-9a-f]{8,})\.\w+$')
ADVICE = 'It is probably incomplete. Copy or download it again'
SAVE_WEIGHTS = (
    'Save only the weights in the program that wrote the file: torch.save(model.state_dict(), FILE)'
)
# Limits of the download of a checkpoint by its URL
MAX_SECONDS = 3600
MAX_BYTES = 16 << 30
FOLDER_FLAG = 0x10  # in a zip file's external attributes


def read_checkpoint(source: str | Path) -> Any:
    """Read a checkpoint of torch or safetensors: a file, an http(s) URL, or ``timm://NAME`` for one
    of timm's GC ViTs.

    Only tensors (to the CPU), numbers, strings and plain containers are read. Objects of other
    classes are removed, and no code that the file names runs. Raise a CheckpointError if the file
    does not exist, is damaged, or is not a checkpoint.
    """
    source = str(source)
    limit = find_limit(source)
    if limit:
        log_warning(f'The weights {source} are {limit}')
    if source.startswith(TIMM_SCHEME):
        return read_timm(source.removeprefix(TIMM_SCHEME))
    path = resolve_file(source)
    check_intact(path)
    return read_safetensors(path) if is_safetensors(path) else read_torch(path)


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file, or return none for a checkpoint of torch."""
    if not is_safetensors(path):
        return {}
    check_installed(f'reading {path}', 'safetensors')
    from safetensors import safe_open

    with raise_checkpoint_error(f'{path} is damaged', ADVICE), safe_open(path, 'pt') as file:
        return file.metadata() or {}


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


def resolve_file(source: str) -> Path:
    """Return the path of a file, or download a URL."""
    path = download_checkpoint(source) if is_url(source) else expand_user(source)
    if not path.is_file():
        raise CheckpointError(
            f'there is no checkpoint {source}. Expected a file on this machine, or an http(s) URL'
        )
    return path


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


def is_other_archive(path: Path) -> bool:
    """Return whether ``torch.load`` would read a file without ``pickle_module``: TorchScript or
    tar.
    """
    if is_zip(path):
        return 'constants.pkl' in torch._C.PyTorchFileReader(str(path)).get_all_records()
    return tarfile.is_tarfile(path)


def read_safetensors(path: Path) -> StateDict:
    """Read the tensors of a safetensors file."""
    check_installed(f'reading {path}', 'safetensors')
    from safetensors.torch import load_file

    with raise_checkpoint_error(f'{path} is damaged', ADVICE):
        return load_file(path)


def read_torch(path: Path) -> Any:
    """Read a file of ``torch.save`` without running code in it."""
    problem = f'{path} cannot be read by torch'
    advice = 'If it is a checkpoint, it is damaged: copy or download it again'
    with raise_checkpoint_error(problem, advice):
        is_other = is_other_archive(path)
    if is_other:
        raise CheckpointError(
            f'{path} is a TorchScript or tar archive, which can run code or write files when torch '
            f'loads it. {SAVE_WEIGHTS}'
        )
    # If this is set, torch rejects every other reader of pickles than its own. Ours runs no code
    # too.
    forced = os.environ.pop('TORCH_FORCE_WEIGHTS_ONLY_LOAD', None)
    try:
        # Pass the open file, because torch.load passes a path that ends in .safetensors to another
        # reader.
        with raise_checkpoint_error(problem, advice), path.open('rb') as file:
            content = torch.load(file, 'cpu', SAFE_PICKLE, weights_only=False)
            is_data = remove_placeholders(content, {})
    finally:
        if forced is not None:
            os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = forced
    if not is_data:
        raise CheckpointError(
            f'{path} contains a {type(content).__name__} that is not only tensors, numbers, texts, '
            f'lists and dicts, because other classes could run code. {SAVE_WEIGHTS}'
        )
    return content


def download_checkpoint(url: str) -> Path:
    """Download a checkpoint, unless it is in torch's cache (``TORCH_HOME``), and return its path
    there.

    A file lock lets one process download while the others wait, because collective operations of
    ``torch.distributed`` would time out. If the URL ends with the first digits of the SHA-256, they
    are verified, and the whole of it for GC ViT's authors' files. A file that is not intact is not
    kept. Raise a CheckpointError also if the server does not answer, or if the download takes over
    :data:`MAX_SECONDS` or :data:`MAX_BYTES`.
    """
    path = get_cache_path(url)
    if path.is_file():
        return path
    digest = HASH_IN_NAME.search(path.name)
    source = find_source(url)
    advice = 'Download it with a browser, and pass the file instead of the URL'
    with raise_checkpoint_error(f'{url} could not be downloaded', advice):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f'{path}.lock'):
            if not path.is_file():  # another process may have downloaded it meanwhile
                with write_atomically(path) as new:
                    with new.open('wb') as file:
                        download(source.url, file, max_seconds=MAX_SECONDS, max_bytes=MAX_BYTES)
                    check_digest(new, digest[1] if digest else source.sha256)
                    check_intact(new)
    return path


def check_digest(path: Path, start: str) -> None:
    """Raise a CheckpointError unless the SHA-256 of a file begins with these digits."""
    digest = compute_sha256(path)
    if not digest.startswith(start):
        raise CheckpointError(f'invalid hash value: expected {start}, got {digest}')


def get_cache_path(url: str) -> Path:
    """Return the path of a URL's file in torch's cache, named by the last part of the URL, as in
    ``torch.hub``.
    """
    name = PurePosixPath(urlsplit(url).path).name
    if HASH_IN_NAME.search(name) is None:  # many URLs end in model.pth
        name = f'{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name[-100:]}'
    return Path(torch.hub.get_dir()) / 'checkpoints' / name


@contextmanager
def limit_silence() -> Iterator[None]:
    """Let downloads of other packages, in all threads of the process, fail if a server does not
    answer for :data:`MAX_SILENCE` seconds: ``torch.hub`` passes no timeout.
    """
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(MAX_SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(previous)


def read_timm(name: str) -> StateDict:
    """Read the pretrained weights of one of timm's GC ViTs, which timm downloads."""
    check_installed(f'{TIMM_SCHEME}{name}', 'timm')
    import timm

    # timm.create_model also takes 'hf-hub:OWNER/NAME', with files of anyone.
    if not name.startswith('gcvit_'):
        raise CheckpointError(f'{TIMM_SCHEME}{name} is not a GC ViT, such as timm://gcvit_tiny')
    advice = 'Check the name and the network connection'
    with raise_checkpoint_error(f'timm could not load {name}', advice), limit_silence():
        return timm.create_model(name, pretrained=True).state_dict()
