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

from ..errors import CheckpointError, get_first_line
from ..files import write_atomically

# torch and OpenMMLab end file names with the first digits of the file's SHA-256.
HASH_IN_NAME = re.compile(r'-([0-9a-f]{8,})\.\w+$')


def download(url: str, check: Callable[[Path], object]) -> Path:
    """Download a checkpoint, unless it is in torch's cache (``TORCH_HOME``).

    Args:
        url: An http(s) URL. If its name ends with the first digits of the file's SHA-256, they are verified.
        check: A function of the downloaded file's path. If it raises, the file is removed.

    Returns:
        The path of the file in the cache.

    Raises:
        CheckpointError: The download failed, or the file is damaged or has another SHA-256.
    """
    path = get_cache_path(url)
    digest = HASH_IN_NAME.search(path.name)
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f'{path}.lock'):
                if not path.is_file():
                    with write_atomically(path) as new:
                        torch.hub.download_url_to_file(url, str(new), digest and digest[1], progress=False)
                        check(new)
    except CheckpointError as error:
        reason = str(error).removeprefix(f'{new} ')
        raise CheckpointError(f'the file at {url} {reason}. Its downloaded copy was removed. Check the URL') from None
    except Exception as error:  # The network, the server or the disk failed, or the URL is wrong.
        raise CheckpointError(
            f'{url} could not be downloaded ({get_first_line(error)}). Download it with a browser, and give the path '
            'of the file instead of the URL (with train --data: --pretrained FILE)'
        ) from None
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
