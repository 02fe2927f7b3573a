"""Time and peak memory of a step, whatever it is: in turns with others, and in processes of their own."""

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

Step = Callable[[], None]


def wait_for(device: str) -> None:
    """Have a GPU end what it was given to do."""
    if device != 'cpu':
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Timing:
    """Seconds of every call of one step, in the order of the rounds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.seconds, percent))

    def ratio_to(self, other: 'Timing') -> float:
        """How many times as fast the other is: the median over rounds, each compared with its own."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.seconds, other.seconds, strict=True))


def time_side_by_side(steps: Mapping[str, Step], rounds: int, warmup: int = 2) -> dict[str, Timing]:
    """Call each step once a round, the first in turns, so that what else the machine does falls on all of them."""
    names = list(steps)
    for name in names:
        for _ in range(warmup):
            steps[name]()
    seconds = {name: [] for name in names}
    for turn in range(rounds if names else 0):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            began = time.perf_counter()
            steps[name]()
            seconds[name].append(time.perf_counter() - began)
    return {name: Timing(tuple(found)) for name, found in seconds.items()}


@contextmanager
def imports_from(checkout: Path | None) -> Iterator[None]:
    """A context in which processes are started that import from a folder before all others, if one is given."""
    before = list(sys.path)
    if checkout is not None:
        sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def own_process(prepare: Callable[[], Step], checkout: Path | None = None) -> Iterator[Step]:
    """A step to be called, as often as wished, in a process that lives until the ``with`` block ends.

    So what memory one model leaves behind makes no other faster. ``prepare``, which can be pickled, makes the step
    there; ``checkout`` is a folder from which the process imports this project, if another one. A call raises what
    went wrong there, or that the process has ended, as a RuntimeError.
    """
    context = multiprocessing.get_context('spawn')
    connection, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, prepare, torch.get_num_threads()))
    with imports_from(checkout):
        process.start()
    theirs.close()

    def step() -> None:
        try:
            connection.send(True)
            error = connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            process.join()
            code = process.exitcode
            raise RuntimeError(f'its process ended with exit code {code}; -9 is often for want of memory') from None
        if error:
            raise RuntimeError(error)

    try:
        yield step
    finally:
        process.kill()
        process.join()
        connection.close()


def serve(connection: Connection, prepare: Callable[[], Step], num_threads: int) -> None:
    """Make the step, and do it each time that something comes; send back what went wrong, or nothing."""
    torch.set_num_threads(num_threads)
    step = None
    while connection.recv():
        try:
            step = step or prepare()
            step()
            connection.send('')
        except Exception as error:
            connection.send(str(error) or type(error).__name__)


def peak_memory_of(prepare: Callable[[], Step], device: str, warmup: int = 0, checkout: Path | None = None) -> int:
    """Bytes that two steps need at most beyond what is held before them.

    On a CPU as the system counts them, in a new process, for which ``prepare`` is pickled (:func:`own_process`); on a
    GPU as torch counts them, which knows what is another's.
    """
    if device != 'cpu':
        return measure_here(prepare, device, warmup, torch.get_num_threads())
    with imports_from(checkout), multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(measure_here, (prepare, device, warmup, torch.get_num_threads()))


def measure_here(prepare: Callable[[], Step], device: str, warmup: int, num_threads: int) -> int:
    """See :func:`peak_memory_of`; in the process that does it."""
    torch.set_num_threads(num_threads)
    step = prepare()
    before = 0 if device == 'cpu' else torch.cuda.memory_allocated(device)
    for _ in range(warmup):
        step()
    if device == 'cpu':
        Path('/proc/self/clear_refs').write_text('5')  # forgets the peak
        before = status('VmRSS')
    else:
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(2):
        step()
    return (status('VmHWM') if device == 'cpu' else torch.cuda.max_memory_allocated(device)) - before


def status(name: str) -> int:
    """A figure of Linux's account of this process, in bytes."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024
