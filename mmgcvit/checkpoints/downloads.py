"""Download checkpoints into torch's cache, once for all processes of a machine.

Every process calls the same function. A file lock lets one of them download while the others wait for the file. No
collective is involved, so that a slow network cannot make one time out.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import torch
from filelock import FileLock

from ..errors import CheckpointError, check_installed, get_first_line
from ..files import atomic_write

# torch and OpenMMLab end names of files with the beginning of their SHA-256.
NAMED_DIGEST = re.compile(r'-([0-9a-f]{8,})\.\w+$')
NAME_ON_HUB = re.compile(r'\w[\w.-]*/\w[\w.-]*')
FILE_ENDINGS = ('.bin', '.ckpt', '.pt', '.pth', '.safetensors', '.tar')


def download(url: str, check: Callable[[Path], object]) -> Path:
    """Download a checkpoint, unless torch's cache (``TORCH_HOME``) has it.

    Args:
        url: An http(s) address.
        check: Raises for a file that is damaged. It is not kept then.

    Returns:
        The file in the cache, written atomically.

    Raises:
        CheckpointError: It could not be downloaded, or is damaged.
    """
    path = get_cache_path(url)
    if path.is_file():
        return path
    digest = NAMED_DIGEST.search(path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f'{path}.lock'):
            if not path.is_file():
                with atomic_write(path) as unfinished:
                    torch.hub.download_url_to_file(url, str(unfinished), digest and digest[1], progress=False)
                    check(unfinished)
    except CheckpointError as error:
        raise CheckpointError(f'{url} is not a checkpoint; the download was removed: {error}') from None
    except Exception as error:  # The network, the server, the disk or the address.
        raise CheckpointError(
            f'{url} could not be downloaded ({get_first_line(error)}). Download it elsewhere and name the file'
        ) from None
    return path


def get_cache_path(url: str) -> Path:
    """The file of an address in torch's cache: torch's own name where that has a digest, else one with the address's.

    torch names files after the end of an address alone, and many end in ``model.pth``.
    """
    name = PurePosixPath(urlsplit(url).path).name
    if NAMED_DIGEST.search(name) is None:
        name = f'{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name[-100:]}'
    return Path(torch.hub.get_dir()) / 'checkpoints' / name


def find_folder(source: str | Path, files: list[str], revision: str | None = None) -> Path | None:
    """The folder that a source names, here or on the Hugging Face Hub; None for a file, an address or ``timm://NAME``.

    ``OWNER/NAME`` is a name on the Hub where there is no such file or folder. huggingface_hub downloads the files, all
    of one commit, with its own cache and locks.
    """
    path, name = Path(source).expanduser(), str(source)
    if path.exists() or not NAME_ON_HUB.fullmatch(name) or name.endswith(FILE_ENDINGS):
        if revision is not None:
            raise CheckpointError(f'{source} is not a name on the Hugging Face Hub, OWNER/NAME; leave revision out')
        return path if path.is_dir() else None
    check_installed(f'there is no file or folder {name}; loading it from the Hugging Face Hub', 'huggingface_hub')
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=files))
    except Exception as error:  # The network, the Hub's refusals, the disk: of a dozen kinds, by its version.
        raise CheckpointError(
            f'there is no file or folder {name}, and the Hugging Face Hub failed: {get_first_line(error)}'
        ) from None
