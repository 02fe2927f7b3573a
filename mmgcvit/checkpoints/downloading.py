"""Find the file of a checkpoint on this machine, or download it, once for all processes."""

import fcntl
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from string import punctuation
from urllib.parse import quote, unquote, urlsplit

import torch

from ..errors import CheckpointError
from ..host.files import compute_sha256, expand_user, is_url, write_atomically
from ..ops.requirements import check_installed
from .intact import check_intact, raise_checkpoint_error
from .released import REPOSITORY, REVISION, SHA256

TIMM_SCHEME = 'timm://'
# A file of Hugging Face's hub: its repository, the revision and the name
HUB_FILE = re.compile(
    r'(?i:https?://(?:huggingface\.co|hf\.co))/([^/]+/[^/]+)/resolve/([^/]+)/(.+)'
)
# torch and OpenMMLab end file names with the first digits of the file's SHA-256.
HASH_IN_NAME = re.compile(r'-([0-9a-f]{8,})\.\w+$')


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
