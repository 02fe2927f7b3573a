"""Checkpoints from the network: fetched once a node, whole or not at all, and the same file every time."""

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
from mmengine.dist import all_gather_object, is_distributed

from ..errors import CheckpointError, DamagedCheckpointError, first_line
from .wholeness import beside, put_in_place, recorded_digest, sha256, write_digest_beside

# A server that says nothing for so long is given up, and a transfer that takes longer in all; what has come by then is
# kept, and the next call goes on from there.
SECONDS_OF_SILENCE = 30
SECONDS_IN_ALL = 3600
LARGEST_FILE = 16 << 30
ATTEMPTS = 5
CHUNK = 1 << 18
LONGEST_NAME = 100

Fetched = TypeVar('Fetched')


@dataclass(frozen=True)
class Address:
    """Where a checkpoint is fetched from.

    Attributes:
        url: Its http(s) address.
        digest: The SHA-256 that it must have, if the user says so: ``https://...#sha256=...``.
    """

    url: str
    digest: str | None

    @classmethod
    def read(cls, text: str) -> 'Address':
        url, _, fragment = text.partition('#')
        if not fragment:
            return cls(url, None)
        digest = re.fullmatch(r'sha256=([0-9a-fA-F]{64})', fragment)
        if digest is None:
            raise CheckpointError(f'{text}: after # belongs sha256= and 64 hexadecimal digits, or nothing')
        return cls(url, digest[1].lower())


def download(address: str, check: Callable[[Path], object]) -> Path:
    """Fetch a checkpoint, unless it is in the cache; the file there.

    Its SHA-256 is the one that the address names, or else that of the first time: it is recorded beside the file.

    Args:
        address: http(s), with or without ``#sha256=...``.
        check: Reads a file, and raises DamagedCheckpointError on what is no checkpoint; that is thrown away.

    Raises:
        CheckpointError: It cannot be downloaded, or is another file; in every process of a distributed run alike.
    """

    def fetch() -> Path:
        source = Address.read(address)
        path = place_in_cache(source.url)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with alone(path):
                if not is_cached(path, source, check):
                    fetch_whole(path, source, check)
        except CheckpointError:
            raise
        except Exception as error:  # The network, the server, the disk or the address.
            raise CheckpointError(
                f'{address} could not be downloaded ({first_line(error)}). Download it elsewhere, then name the file '
                'instead'
            ) from None
        return path

    return first_on_each_node(fetch)


def place_in_cache(address: str) -> Path:
    """Where torch's cache has the file of an address, named after the whole of it."""
    name = f'{hashlib.sha256(address.encode()).hexdigest()[:12]}-{Path(address).name[-LONGEST_NAME:]}'
    return Path(torch.hub.get_dir()) / 'checkpoints' / name


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let other runs on this machine that fetch the same file wait meanwhile."""
    with path.with_name(f'{path.name}.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_cached(path: Path, source: Address, check: Callable[[Path], object]) -> bool:
    """Whether the cache has the file as it was; one that has changed there, or is no checkpoint, is thrown away."""
    if not path.is_file():
        return False
    record = beside(path)
    if source.digest is None and not record.is_file():
        throw_away_unless_whole(path, source, check)
        write_digest_beside(path)
        return True
    if sha256(path) == (source.digest or recorded_digest(record)):
        return True
    path.unlink()
    return False


def fetch_whole(path: Path, source: Address, check: Callable[[Path], object]) -> None:
    """Fetch a file under another name, and give it its own once it is known to be the one that is wanted."""
    part = path.with_name(f'{path.name}.part')
    try:
        fetch_into(part, source.url)
    except CheckpointError:
        part.unlink(missing_ok=True)
        tag_of(part).unlink(missing_ok=True)
        raise
    digest, record = sha256(part), beside(path)
    if source.digest not in (None, digest):
        part.unlink()
        raise CheckpointError(f'{source.url} gave a file with the SHA-256 {digest} instead of {source.digest}')
    if source.digest is None and record.is_file() and recorded_digest(record) != digest:
        part.unlink()
        raise CheckpointError(
            f'{source.url} gave another file (SHA-256 {digest}) than the first time ({recorded_digest(record)}). If '
            f'the new one is right, remove {record}; an address that names a commit always gives the same file'
        )
    throw_away_unless_whole(part, source, check)
    put_in_place(part, path)
    write_digest_beside(path)


def throw_away_unless_whole(path: Path, source: Address, check: Callable[[Path], object]) -> None:
    """Remove what a server gave if it is no checkpoint. One that is, and is refused, stays: fetching it is no help."""
    try:
        check(path)
    except DamagedCheckpointError as error:
        path.unlink()
        raise CheckpointError(f'{source.url} gave no whole checkpoint; it was thrown away: {error}') from None
    except CheckpointError:
        pass


def fetch_into(part: Path, url: str) -> None:
    """Fetch a file, going on where an earlier transfer of the same file ended."""
    until = time.monotonic() + SECONDS_IN_ALL
    for attempt in range(ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            return transfer(part, url, until)
        except HTTPError:
            raise
        except (OSError, HTTPException):
            has_come = part.stat().st_size if part.exists() else 0
            if attempt == ATTEMPTS - 1 or has_come <= before or time.monotonic() > until:
                raise
    return None


def transfer(part: Path, url: str, until: float) -> None:
    """One transfer: the rest of the file, or all of it where the server has another one by now.

    Raises:
        OSError: It is over before its end.
        CheckpointError: The file is too large, or comes over an unencrypted detour.
    """
    tag = tag_of(part)
    start = part.stat().st_size if part.exists() and tag.exists() else 0
    going_on = {'Range': f'bytes={start}-', 'If-Range': tag.read_text()} if start else {}
    request = Request(url, headers={'Accept-Encoding': 'identity', 'User-Agent': 'mmgcvit', **going_on})
    try:
        response = urlopen(request, timeout=SECONDS_OF_SILENCE)
    except HTTPError as error:
        if start and error.code == 416:  # There is nothing from there on: it is another file, or it is complete.
            part.unlink()
            return transfer(part, url, until)
        raise
    with response:
        if url.startswith('https://') and not response.geturl().startswith('https://'):
            raise CheckpointError(f'{url} leads to {response.geturl()}, which is not encrypted')
        is_rest = response.status == 206 and response.headers.get('Content-Range', '').startswith(f'bytes {start}-')
        write_tag(tag, response)
        with part.open('ab' if is_rest else 'wb') as file:
            receive(response, file.write, start if is_rest else 0, until)
    tag.unlink(missing_ok=True)
    return None


def tag_of(part: Path) -> Path:
    """Where it stands which version of a file a part is of."""
    return part.with_name(f'{part.name}.tag')


def write_tag(tag: Path, response: HTTPResponse) -> None:
    """Keep by what a server knows this version of the file again, where it says one."""
    version = response.headers.get('ETag') or ''
    version = response.headers.get('Last-Modified') if not version or version.startswith('W/') else version
    if version:
        tag.write_text(version)
    else:
        tag.unlink(missing_ok=True)


def receive(response: HTTPResponse, write: Callable[[bytes], object], start: int, until: float) -> None:
    """Write what comes, up to as much as was promised and is allowed."""
    promised = response.headers.get('Content-Length')
    end = None if promised is None else start + int(promised)
    come = start
    while come <= LARGEST_FILE and (end is None or end <= LARGEST_FILE):
        if time.monotonic() > until:
            raise TimeoutError(f'{come:,} bytes in {SECONDS_IN_ALL} seconds; the next call goes on from there')
        chunk = response.read1(CHUNK)
        if not chunk:
            break
        write(chunk)
        come += len(chunk)
    else:
        raise CheckpointError(f'{response.geturl()} is larger than {LARGEST_FILE:,} bytes; no checkpoint of ours is')
    if end is not None and come != end:
        raise ConnectionError(f'{come:,} of {end:,} bytes came')


def first_on_each_node(fetch: Callable[[], Fetched]) -> Fetched:
    """Call a function in the first process of each node, then in the others, which find in a cache what it fetched.

    Every process has to call this.

    Raises:
        CheckpointError: ``fetch`` raised one in some process; every process raises it.
    """
    # mmengine's get_local_rank wants a process group that its own init_dist does not make.
    is_first = not is_distributed() or os.environ.get('LOCAL_RANK', '0') == '0'
    fetched = None
    for turn_of_the_first in (True, False):
        error = None
        if is_first == turn_of_the_first:
            try:
                fetched = fetch()
            except CheckpointError as failure:
                error = str(failure)
        errors = [error for error in all_gather_object(error) if error is not None]
        if errors:
            raise CheckpointError(errors[0])
    return fetched
