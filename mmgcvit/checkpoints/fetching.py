"""Checkpoints from the network: fetched once a node, and where one cannot be fetched no process waits for it."""

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from mmengine.dist import all_gather_object, is_distributed

from .errors import CheckpointError

# A server that says nothing for so long is given up; torch would wait for ever.
SECONDS_OF_SILENCE = 30

Fetched = TypeVar('Fetched')


def download(address: str) -> Path:
    """Fetch a checkpoint, unless it is in the cache; the file there.

    Raises:
        CheckpointError: It cannot be downloaded; in every process of a distributed run alike.
    """
    path = place_in_cache(address)

    def fetch() -> Path:
        if path.is_file():
            return path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with silence_ends_connections():
                torch.hub.download_url_to_file(address, str(path))
        except Exception as error:  # The network, the server, the disk or the address.
            raise CheckpointError(
                f'{address} could not be downloaded ({error}). Download it elsewhere, then name the file instead'
            ) from None
        return path

    return first_on_each_node(fetch)


def place_in_cache(address: str) -> Path:
    """Where torch's cache has the file of an address, named after the whole of it."""
    name = f'{hashlib.sha256(address.encode()).hexdigest()[:12]}-{Path(address).name}'
    return Path(torch.hub.get_dir()) / 'checkpoints' / name


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


@contextmanager
def silence_ends_connections() -> Iterator[None]:
    """Give connections that Python opens meanwhile a time limit, for torch's download has no argument for it."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS_OF_SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
