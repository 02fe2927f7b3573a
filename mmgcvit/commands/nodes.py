"""Several nodes that end together.

When a process dies, torch's launcher ends the others of its own node. Those of other nodes wait for it in a collective
until their backend notices: over gloo at once if the connection is closed, over NCCL or when a machine is lost after
its timeout of 10 minutes and more. So each node tells the others every few seconds how it is, through the store that
torch's launcher keeps on node 0, and ends what it runs when one has failed or fallen silent.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple, NoReturn

import torch.distributed as dist

from ..engine.early_end import RESUME_ME
from .torch_launcher import exit_code, start

SECONDS_BETWEEN_BEATS = 2.0
# A node that has not been heard of for so long is taken for lost, unless the user says otherwise: longer than a switch
# takes to restart or a file server to come back, shorter than the timeouts of collectives.
SECONDS_OF_SILENCE = 300
# What torch's launcher takes at most to end its processes (30 s, then it kills them).
SECONDS_TO_END = 40.0
# A node counts its beats in the store; at its end it adds one of these, which no count reaches.
DONE, FAILED = 1 << 40, 1 << 41


class Nodes(NamedTuple):
    """The machines that take part, and which one this is.

    Attributes:
        count: How many there are.
        rank: Which one this is, from 0.
        address: Of node 0, which keeps the store.
        port: Of the store.
        silence: Seconds after which a node that has not been heard of is taken for lost.
    """

    count: int
    rank: int
    address: str
    port: int
    silence: float = SECONDS_OF_SILENCE


def run_beside_other_nodes(command: list[str], environment: dict[str, str], nodes: Nodes) -> NoReturn:
    """Run a command, one of its kind on every node, until it or that of another node ends; exits with its code."""
    pulse = Pulse(nodes)
    child = start(command, environment)
    pulse.start()
    while child.poll() is None and pulse.trouble() is None:
        time.sleep(0.5)
    if child.poll() is None:
        sys.stderr.write(f'{pulse.trouble()}: ending the processes of node {nodes.rank}\n')
        sys.stderr.flush()
        end(child)
        pulse.stop(FAILED)
        # Not through Python's own end: the thread may be waiting for a machine that is lost.
        os._exit(1)
    pulse.stop(DONE if child.returncode in (0, RESUME_ME) else FAILED)
    os._exit(exit_code(child))


def end(child: subprocess.Popen) -> None:
    """End torch's launcher, which ends its processes."""
    child.terminate()
    try:
        child.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


class Pulse(threading.Thread):
    """Tells the other nodes how this one is, and hears how they are."""

    def __init__(self, nodes: Nodes) -> None:
        super().__init__(daemon=True)
        self.nodes = nodes
        self.step = 1
        self.stopping = threading.Event()
        # By rank, what each node has counted to and when that was heard.
        self.heard: dict[int, tuple[int, float]] = {}

    def trouble(self) -> str | None:
        """What is wrong with another node, if anything."""
        for rank, (count, at) in dict(self.heard).items():
            if count >= FAILED:
                return f'node {rank} has failed, its output says why'
            if count < DONE and time.monotonic() - at > self.nodes.silence:
                return f'node {rank} has not been heard of for {self.nodes.silence:.0f} seconds'
        return None

    def stop(self, end: int) -> None:
        """Tell the other nodes of the end, ``DONE`` or ``FAILED``, if node 0 can still be reached."""
        self.step = end
        self.stopping.set()
        self.join(timeout=2 * SECONDS_BETWEEN_BEATS)

    def run(self) -> None:
        """Beat until stopped, over a new connection where one is lost: the network may come back within the silence."""
        while not self.stopping.is_set():
            with suppress(RuntimeError):
                self.beat_over(self.connect())

    def beat_over(self, store: Any) -> None:
        """Beat over one connection until stopped; a RuntimeError says that it is lost."""
        while True:
            step = self.step
            store.add(str(self.nodes.rank), step)
            if step in (DONE, FAILED):
                return
            self.listen(store)
            self.stopping.wait(SECONDS_BETWEEN_BEATS)

    def connect(self) -> Any:
        """Wait until node 0 keeps the store, without a word to the user: torch's launcher says what is awaited."""
        address = (self.nodes.address, self.nodes.port)
        while not accepts_connections(address):
            if self.stopping.wait(1):
                raise RuntimeError('stopped before node 0 could be reached')
        store = dist.TCPStore(*address, is_master=False, timeout=timedelta(seconds=10), wait_for_workers=False)
        return dist.PrefixStore('mmgcvit/nodes', store)

    def listen(self, store: Any) -> None:
        """Note of each other node whether it has counted on."""
        for rank in range(self.nodes.count):
            if rank == self.nodes.rank:
                continue
            # Adding nothing reads the count; torch 2.1 cannot ask whether there is one.
            count = store.add(str(rank), 0)
            if count not in (0, self.heard.get(rank, (0,))[0]):
                self.heard[rank] = (count, time.monotonic())


def accepts_connections(address: tuple[str, int]) -> bool:
    """Whether a program listens at an address."""
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError:
        return False
    return True
