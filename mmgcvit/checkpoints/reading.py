"""Read checkpoints of torch, safetensors and timm, from disk or the network, without running code
from them.
"""

import fcntl
import hashlib
import os
import re
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from string import punctuation
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import torch

from ..errors import CheckpointError, get_first_line
from ..host.files import compute_sha256, expand_user, is_url, write_atomically
from ..host.private_api import list_archived_records
from ..host.runners import log_warning
from ..ops.requirements import check_installed
from .licences import find_limit
from .released import REPOSITORY, REVISION, SHA256
from .translating import StateDict
from .unpickling import SAFE_PICKLE, remove_placeholders

TIMM_SCHEME = 'timm://'
# A file of Hugging Face's hub: its repository, the revision and the name
HUB_FILE = re.compile(
    r'(?i:https?://(?:huggingface\.co|hf\.co))/([^/]+/[^/]+)/resolve/([^/]+)/(.+)'
)
# torch and OpenMMLab end file names with the first digits of the file's SHA-256.
HASH_IN_NAME = re.compile(r'-([0-9a-f]{8,})\.\w+$')
ADVICE = 'It is probably incomplete. Copy or download it again'
SAVE_WEIGHTS = (
    'Save only the weights in the program that wrote the file: torch.save(model.state_dict(), FILE)'
)
FORCE_VARIABLE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
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
    """Return the path of a file, or download a URL or timm's model."""
    if source.startswith(TIMM_SCHEME):
        source = find_timm_url(source.removeprefix(TIMM_SCHEME))
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
        return 'constants.pkl' in list_archived_records(path)
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
    reader: dict[str, Any] = {'pickle_module': SAFE_PICKLE, 'weights_only': False}
    if os.environ.get(FORCE_VARIABLE, '').lower() in ('1', 'y', 'yes', 'true'):
        # torch rejects every other reader of pickles than its own, which takes fewer classes.
        reader = {'weights_only': True}
        advice += f'. Else unset {FORCE_VARIABLE}: no code of the file runs without it either'
    # Pass the open file, because torch.load passes a path that ends in .safetensors to another
    # reader.
    with raise_checkpoint_error(problem, advice), path.open('rb') as file:
        content = torch.load(file, 'cpu', **reader)
        is_data = remove_placeholders(content, {})
    if not is_data:
        raise CheckpointError(
            f'{path} contains a {type(content).__name__} that is not only tensors, numbers, texts, '
            f'lists and dicts, because other classes could run code. {SAVE_WEIGHTS}'
        )
    return content


def find_timm_url(name: str) -> str:
    """Return the URL of the pretrained weights of one of timm's GC ViTs."""
    check_installed(f'{TIMM_SCHEME}{name}', 'timm')
    import timm

    cfg = None
    if name.startswith('gcvit_'):
        with suppress(RuntimeError):  # of timm, for a name with another tag
            cfg = timm.get_pretrained_cfg(name)
    if cfg is None:
        raise CheckpointError(f'{TIMM_SCHEME}{name} is not a GC ViT, such as timm://gcvit_tiny')
    return str(cfg.url or f'https://huggingface.co/{cfg.hf_hub_id}/resolve/main/model.safetensors')


def download_checkpoint(url: str) -> Path:
    """Download a checkpoint, unless it is in a cache, and return its path there.

    Files of Hugging Face's hub are in huggingface_hub's cache, all others in torch's
    (``TORCH_HOME``). One process of a machine downloads while the others wait, because collective
    operations of ``torch.distributed`` would time out. Raise a CheckpointError if the download
    fails or has another SHA-256: that of :mod:`.released`, or the first digits in the URL.
    """
    hub_file = HUB_FILE.fullmatch(url.partition('?')[0])
    if hub_file:
        check_installed(url, 'huggingface_hub')
    advice = 'Download it with a browser, and pass the file instead of the URL'
    with raise_checkpoint_error(f'{url} could not be downloaded', advice):
        return download_from_hub(*hub_file.groups()) if hub_file else download_from_url(url)


def download_from_hub(repository: str, revision: str, name: str) -> Path:
    """Download a file of Hugging Face's hub.

    The authors' files are those of one revision, also if their branch has changed since, and have
    a known SHA-256. A file with another one is removed.
    """
    from huggingface_hub import hf_hub_download

    sha256 = ''
    if repository == REPOSITORY and revision in ('main', REVISION):
        revision = REVISION
        sha256 = SHA256.get(name, '')
    path = Path(hf_hub_download(repository, unquote(name), revision=revision))
    try:
        check_digest(path, sha256)
    except CheckpointError:
        with suppress(OSError):  # a cache that is read-only
            path.resolve().unlink()  # path is a link to it
        raise
    return path


def download_from_url(url: str) -> Path:
    """Download a file into torch's cache."""
    path = get_cache_path(url)
    if path.is_file():
        return path
    digest = HASH_IN_NAME.search(path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(path.with_name(f'{path.name}.lock')):
        if not path.is_file():  # another process may have downloaded it meanwhile
            with write_atomically(path) as new:
                torch.hub.download_url_to_file(
                    quote(url, safe=punctuation), str(new), digest and digest[1]
                )
                check_intact(new)
    return path


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Create a file and lock it, as soon as no other process has it locked. On a file system
    without locks, do not wait.
    """
    with path.open('a') as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def check_digest(path: Path, start: str) -> None:
    """Raise a CheckpointError unless the SHA-256 of a file begins with these digits. Without any,
    it is not known.
    """
    digest = compute_sha256(path) if start else ''
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
