"""What starts and ends the processes of a run together, on one node or several.

    python -m mmgcvit.commands.launcher [options of torch.distributed.run] PROGRAM [arguments]

is torch's launcher with what it lacks. By itself it answers SIGTERM with a SIGTERM to its processes, which it kills 30
seconds later, and an exit code of 1 whatever they have ended with; on SIGUSR1 it dies. Here a scheduler's warning
reaches the processes, and their answer the scheduler. On one node the processes find each other where no other machine
can reach them.

When a process dies, torch's launcher ends the others of its own node. Those of other nodes wait for it in a collective
until their backend notices: over gloo at once if the connection is closed, over NCCL or when a machine is lost after
its timeout of 10 minutes and more. So each node tells the others every few seconds how it is, through the store that
torch's launcher keeps on node 0, and ends what it runs when one has failed or fallen silent (:class:`Pulse`).
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import torch.distributed as dist
from torch.distributed import run as torch_launcher
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from ..engine.early_end import RESUME_ME, WARNINGS
from ..engine.processes import LOOPBACK, end_with_parent

LOOPBACK_INTERFACE = 'lo'
# Where gloo and NCCL listen, which know no passwords.
INTERFACE_VARIABLES = ('GLOO_SOCKET_IFNAME', 'NCCL_SOCKET_IFNAME')
# What torch's launcher leaves to others.
PASSED_ON = signal.SIGUSR1
SECONDS_BETWEEN_BEATS = 2.0
# A node that has not been heard of for so long is taken for lost, unless the user says otherwise: longer than a switch
# takes to restart or a file server to come back, shorter than the timeouts of collectives.
SECONDS_OF_SILENCE = 300
# What torch's launcher takes at most to end its processes (30 s, then it kills them).
SECONDS_TO_END = 40.0
# A node counts its beats in the store; at its end it adds one of these, which no count reaches.
DONE, FAILED = 1 << 40, 1 << 41


def main() -> None:
    """Call torch's launcher in this process, and pass on what this process is told."""
    options = sys.argv[1:]
    signal.signal(PASSED_ON, pass_on)
    if '--nnodes=1' in options:
        port = next(option.removeprefix('--master_port=') for option in options if '--master_port=' in option)
        # Named, because the server ends with it.
        store = store_for_this_machine(int(port))  # noqa: F841
    try:
        torch_launcher.main(options)
    except ChildFailedError as error:
        codes = {failure.exitcode for failure in error.failures.values()}
        if RESUME_ME in codes and codes <= {RESUME_ME, -signal.SIGTERM}:
            raise SystemExit(RESUME_ME) from None
        raise


def pass_on(number: int, frame: FrameType | None) -> None:
    """Send the processes a signal that this one has got."""
    own = os.getpid()
    for child in Path(f'/proc/{own}/task/{own}/children').read_text().split():
        os.kill(int(child), number)


def store_for_this_machine(port: int) -> dist.TCPStore:
    """A store that listens on the loopback interface, which torch's launcher finds at its port and shares.

    Its own takes orders from whoever reaches it, and listens on all interfaces. To be removed once it can be told where
    to listen.
    """
    names = [name for _, name in socket.if_nameindex()]
    for variable in INTERFACE_VARIABLES if LOOPBACK_INTERFACE in names else ():
        os.environ.setdefault(variable, LOOPBACK_INTERFACE)
    listener = socket.create_server((LOOPBACK, port))
    return dist.TCPStore(
        LOOPBACK,
        port,
        is_master=True,
        multi_tenant=True,
        wait_for_workers=False,
        master_listen_fd=listener.detach(),
    )


class Nodes(NamedTuple):
    """The machines that take part, and which one this is, from 0.

    Node 0 keeps the store at ``address`` and ``port``. A node that has not been heard of for ``silence`` seconds is
    taken for lost.
    """

    count: int
    rank: int
    address: str
    port: int
    silence: float = SECONDS_OF_SILENCE


def run_on(nodes: Nodes, processes: int, program: list[str], environment: dict[str, str]) -> int:
    """Run a program in so many processes on each of the nodes, in the launcher's own process; gives its exit code."""
    options = [
        f'--nnodes={nodes.count}',
        f'--node_rank={nodes.rank}',
        f'--master_addr={nodes.address}',
        f'--master_port={nodes.port}',
        f'--nproc_per_node={processes}',
        '--max_restarts=0',
    ]
    command = [sys.executable, '-m', 'mmgcvit.commands.launcher', *options, *program]
    if nodes.count > 1:
        run_beside_other_nodes(command, environment, nodes)
    child = start(command, environment)
    child.wait()
    return exit_code(child)


def start(command: list[str], environment: dict[str, str]) -> subprocess.Popen:
    """Start a launcher as a child, which ends with this process and is told of its warnings."""
    # SIGTERM, upon which torch's launcher ends its processes.
    child = subprocess.Popen(command, env=environment, preexec_fn=partial(end_with_parent, signal.SIGTERM))
    for number in WARNINGS:
        signal.signal(number, lambda *_: child.send_signal(PASSED_ON))
    # Ctrl-C reaches the child too.
    signal.signal(signal.SIGINT, lambda *_: None)
    return child


def exit_code(child: subprocess.Popen) -> int:
    """The exit code of a child that has ended, as shells count signals."""
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


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
        # Torch's launcher ends its processes.
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(SECONDS_TO_END)
        child.kill()
        child.wait()
        pulse.stop(FAILED)
        # Not through Python's own end: the thread may be waiting for a machine that is lost.
        os._exit(1)
    pulse.stop(DONE if child.returncode in (0, RESUME_ME) else FAILED)
    os._exit(exit_code(child))


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
            # This error says that the connection is lost.
            with suppress(RuntimeError):
                store = self.connect()
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
        while True:
            with suppress(OSError):
                socket.create_connection(address, timeout=5).close()
                break
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


if __name__ == '__main__':
    main()
