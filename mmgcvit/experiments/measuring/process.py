"""A step in a process of its own: what memory one model leaves behind makes no other faster."""

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import torch


class OwnProcess:
    """Call a step, as often as wished, in a process that lives until the ``with`` block ends.

    Args:
        prepare: Makes the step, there; of a kind that can be pickled.
        checkout: The folder that the process imports this project from, another one than this process if it is given.

    Raises:
        RuntimeError: When called: what went wrong there, or that the process has ended.
    """

    def __init__(self, prepare: Callable[[], Callable[[], None]], checkout: Path | None = None) -> None:
        context = multiprocessing.get_context('spawn')
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, prepare, torch.get_num_threads()))
        with imports_from(checkout):
            self.process.start()
        theirs.close()

    def __call__(self) -> None:
        try:
            self.connection.send(True)
            error = self.connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self.process.join()
            raise RuntimeError(
                f'its process ended with exit code {self.process.exitcode}; -9 is often for want of memory'
            ) from None
        if error:
            raise RuntimeError(error)

    def __enter__(self) -> 'OwnProcess':
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


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


def serve(connection: Connection, prepare: Callable[[], Callable[[], None]], num_threads: int) -> None:
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
