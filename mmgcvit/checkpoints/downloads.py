"""Download checkpoints into torch's cache, once for all processes on a machine.

Every process calls :func:`download`. A file lock lets one of them download while the others wait for the file.
``torch.distributed`` is not used, because waiting in its collective operations times out if the download is slow.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import torch
from filelock import FileLock
from mmengine.logging import print_log

from ..errors import CheckpointError, check_installed, get_first_line
from ..files import compute_sha256, write_atomically

# torch and OpenMMLab end file names with the first digits of the file's SHA-256.
HASH_IN_NAME = re.compile(r'-([0-9a-f]{8,})\.\w+$')
HUB_REPO_ID = re.compile(r'\w[\w.-]*/\w[\w.-]*')
CHECKPOINT_SUFFIXES = ('.bin', '.ckpt', '.pt', '.pth', '.safetensors', '.tar')


def download(url: str, check: Callable[[Path], object]) -> Path:
    """Download a checkpoint, unless it is in torch's cache (``TORCH_HOME``).

    Args:
        url: An http(s) URL, also ``URL#sha256=DIGEST``.
        check: A function of the downloaded file's path. If it raises, the file is removed.

    Returns:
        The path of the file in the cache.

    Raises:
        CheckpointError: The download failed, or the file is damaged or has another SHA-256.
    """
    url, separator, sha256 = url.partition('#sha256=')
    if separator and not re.fullmatch('[0-9a-f]{64}', sha256):
        raise CheckpointError(f'{url}: expected the 64 digits 0-9 and a-f of a SHA-256 after #sha256=, not {sha256!r}')
    path = get_cache_path(url)
    in_name = HASH_IN_NAME.search(path.name)
    digest = sha256 or (in_name and in_name[1])
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f'{path}.lock'):
                if not path.is_file():
                    with write_atomically(path) as new:
                        torch.hub.download_url_to_file(url, str(new), digest, progress=False)
                        check(new)
                    if digest is None:
                        pinned_url = f'{url}#sha256={compute_sha256(path)}'
                        print_log(f'To load only this file from now on, use {pinned_url}', 'current')
                    return path
    except CheckpointError as error:
        reason = str(error).removeprefix(f'{new} ')
        raise CheckpointError(f'the file at {url} {reason}. Its downloaded copy was removed. Check the URL') from None
    except Exception as error:  # The network, the server or the disk failed, or the URL is wrong.
        raise CheckpointError(
            f'{url} could not be downloaded ({get_first_line(error)}). Download it with a browser, and give the path '
            'of the file instead of the URL (with train --data: --pretrained FILE)'
        ) from None
    if sha256 and compute_sha256(path) != sha256:
        raise CheckpointError(f'{path}, downloaded from {url}, has another SHA-256 than {sha256}. Remove the file')
    return path


def get_cache_path(url: str) -> Path:
    """Return the path of a URL's file in torch's cache.

    As in ``torch.hub``, the name is the last part of the URL. Many URLs end in ``model.pth``, so a hash of the URL is
    put before the name, unless the name ends with a hash.
    """
    name = PurePosixPath(urlsplit(url).path).name
    if HASH_IN_NAME.search(name) is None:
        name = f'{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name[-100:]}'
    return Path(torch.hub.get_dir()) / 'checkpoints' / name


def resolve_folder(source: str | Path, files: list[str], revision: str | None = None) -> Path | None:
    """Return the folder of a model. ``source`` is this folder, or ``OWNER/NAME`` on the Hugging Face Hub.

    Return None for a file, a URL or ``timm://NAME``. A local file or folder comes before a name on the Hub. From the
    Hub, huggingface_hub downloads ``files``, all of one commit, with its own cache and locks.
    """
    path, name = Path(source).expanduser(), str(source)
    if path.exists() or not HUB_REPO_ID.fullmatch(name) or name.endswith(CHECKPOINT_SUFFIXES):
        if revision is not None:
            raise CheckpointError(
                f"the argument 'revision' is only for models on the Hugging Face Hub (OWNER/NAME), and {source} is not "
                'such a name. Remove the argument'
            )
        return path if path.is_dir() else None
    check_installed(f'there is no file or folder {name}. Loading it from the Hugging Face Hub', 'huggingface_hub')
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=files))
    except Exception as error:  # huggingface_hub raises a dozen types, depending on its version.
        raise CheckpointError(
            f'there is no file or folder {name}, and loading it from the Hugging Face Hub failed '
            f'({get_first_line(error)}). Check the name and the network connection'
        ) from None
