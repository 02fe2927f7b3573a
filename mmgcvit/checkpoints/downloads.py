"""Checkpoints from the network, addresses and the Hugging Face Hub: fetched once a node, whole, the same every time."""

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import torch
from mmengine.dist import is_distributed
from mmengine.logging import print_log

from ..errors import CheckpointError, DamagedCheckpointError, first_line
from ..files import taking_turns, written_together
from ..hosts.mmengine import do_together
from .integrity import beside, recorded_digest, sha256

# A server that says nothing for so long is given up.
SECONDS_OF_SILENCE = 30
LONGEST_NAME = 100
# What names of torch's and OpenMMLab's files begin the file's SHA-256 with.
NAMED_DIGEST = re.compile(r'-([0-9a-f]{8,})\.')
NAME_ON_HUB = re.compile(r'\w[\w.-]*/\w[\w.-]*')
# What ends so is a file that is not there, not a name on the Hub.
ENDINGS_OF_FILES = ('.bin', '.ckpt', '.pt', '.pth', '.safetensors', '.tar')

Fetched = TypeVar('Fetched')


def download(address: str, check: Callable[[Path], object]) -> Path:
    """Fetch a checkpoint, unless it is in the cache; the file there.

    Its SHA-256 is the one that the address names (``#sha256=...``), or else that of the first time: it is recorded
    beside the file. What ``check`` says is damaged is thrown away.
    """
    url, _, fragment = address.partition('#')
    wanted = re.fullmatch(r'sha256=([0-9a-fA-F]{64})', fragment)
    if fragment and wanted is None:
        raise CheckpointError(f'{address}: after # belongs sha256= and 64 hexadecimal digits, or nothing')
    path, digest = place_in_cache(url), wanted and wanted[1].lower()

    def fetch() -> Path:
        try:
            found = find_in_cache(url, digest, check)
            if found is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                # Others that fetch it wait meanwhile; where nothing locks each fetches it, and the last one's stays.
                with taking_turns(path.with_name(f'{path.name}.lock')):
                    found = find_in_cache(url, digest, check) or fetch_into_cache(url, digest, check)
        except CheckpointError:
            raise
        except Exception as error:  # The network, the server, the disk or the address.
            failure = f'{address} could not be downloaded ({first_line(error)})'
            found = find_in_cache(url, digest, check, by_name=True)
            if found is None:
                raise CheckpointError(f'{failure}. Download it elsewhere, then name the file instead') from None
            print_log(f'{failure}; {found} is taken for it, by its name', 'current', logging.WARNING)
        return found

    return first_on_each_node(fetch)


def place_in_cache(url: str) -> Path:
    """Where torch's cache has the file of an address, named after the whole of it."""
    name = f'{hashlib.sha256(url.encode()).hexdigest()[:12]}-{Path(url).name[-LONGEST_NAME:]}'
    return Path(torch.hub.get_dir()) / 'checkpoints' / name


def find_in_cache(url: str, wanted: str | None, check: Callable[[Path], object], by_name: bool = False) -> Path | None:
    """The file of an address if it is there as it was, by its own name or by that of torch.hub; nothing is written.

    By the digest that is wanted, or recorded, or begins in torch's names. Without one it has to be whole, and have its
    own name; ``by_name``, where nothing can be fetched, torch.hub's will do.
    """
    path = place_in_cache(url)
    # torch.hub and mmengine name it after the end of the address: another one may end so too.
    plain = path.with_name(PurePosixPath(urlsplit(url).path).name or path.name)
    for place in filter(Path.is_file, (path, plain)):
        beginning = wanted or recorded_digest(beside(path)) or ''.join(NAMED_DIGEST.findall(place.name)[-1:])
        if beginning:
            is_found = sha256(place).startswith(beginning)
        else:
            is_found = (by_name or place == path) and damage(place, check) is None
        if is_found:
            return place
    return None


def damage(path: Path, check: Callable[[Path], object]) -> DamagedCheckpointError | None:
    """What is damaged of a file; one that is refused otherwise is whole: fetching it again is no help."""
    try:
        check(path)
    except DamagedCheckpointError as error:
        return error
    except CheckpointError:
        pass
    return None


def fetch_into_cache(url: str, wanted: str | None, check: Callable[[Path], object]) -> Path:
    """Fetch a file in place of what may be there; one that has changed on the server is not taken for it."""
    path = place_in_cache(url)
    record = beside(path)
    recorded = recorded_digest(record)
    with written_together(path, record) as (unfinished, new_record):
        transfer(url, unfinished)
        digest = sha256(unfinished)
        new_record.write_text(f'{digest}  {path.name}\n')
        if wanted not in (None, digest):
            raise CheckpointError(f'{url} gave a file with the SHA-256 {digest} instead of {wanted}')
        if wanted is None and recorded not in (None, digest):
            raise CheckpointError(
                f'{url} gave another file (SHA-256 {digest}) than the first time ({recorded}). If the new one is '
                f'right, remove {record}; an address that names a commit always gives the same file'
            )
        if error := damage(unfinished, check):
            raise CheckpointError(f'{url} gave no whole checkpoint; it was thrown away: {error}')
    return path


def transfer(url: str, path: Path) -> None:
    request = Request(url, headers={'Accept-Encoding': 'identity', 'User-Agent': 'mmgcvit'})
    with urlopen(request, timeout=SECONDS_OF_SILENCE) as response, path.open('wb') as file:
        if url.startswith('https://') and not response.geturl().startswith('https://'):
            raise CheckpointError(f'{url} leads to {response.geturl()}, which is not encrypted')
        shutil.copyfileobj(response, file)
        promised = response.headers.get('Content-Length')
        if promised is not None and file.tell() != int(promised):
            raise ConnectionError(f'{file.tell():,} of {int(promised):,} bytes came')


def first_on_each_node(fetch: Callable[[], Fetched]) -> Fetched:
    """Call a function in the first process of each node, then in the others, which find in a cache what it fetched.

    Every process has to call this; an error of one is one of all.
    """
    # mmengine's get_local_rank wants a process group that its own init_dist does not make.
    is_first = not is_distributed() or os.environ.get('LOCAL_RANK', '0') == '0'
    fetched = do_together(lambda: fetch() if is_first else None)
    return do_together(lambda: fetched if is_first else fetch())


def folder_of(source: str | Path, files: list[str], revision: str | None = None) -> Path | None:
    """The folder that a source names, here or on the Hub; None for a file, an address or ``timm://NAME``.

    ``OWNER/NAME`` is a name on the Hub where there is no such file or folder. The files are fetched from there, all of
    one commit, into huggingface_hub's own cache.
    """
    path = Path(source).expanduser()
    name = str(source)
    if path.exists() or not NAME_ON_HUB.fullmatch(name) or name.endswith(ENDINGS_OF_FILES):
        if revision is not None:
            raise CheckpointError(f'{source} is no name on the Hugging Face Hub, OWNER/NAME; leave revision out')
        return path if path.is_dir() else None
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError:
        raise CheckpointError(
            f'there is no file or folder {name}; to take it from the Hugging Face Hub: '
            "'pip install huggingface_hub', or mmgcvit[hub]"
        ) from None

    def fetch() -> Path:
        try:
            return Path(snapshot_download(name, revision=revision, allow_patterns=files))
        except Exception as error:  # The network, the Hub's refusals, the disk: of a dozen kinds, by its version.
            raise CheckpointError(
                f'there is no file or folder {name}, and the Hugging Face Hub gave none: {first_line(error)}'
            ) from None

    return first_on_each_node(fetch)
