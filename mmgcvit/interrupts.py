"""End a program at a signal by a KeyboardInterrupt, at once or, in a training, between iterations.

Schedulers of clusters send SIGTERM or SIGUSR1, and a closed terminal SIGHUP. They all end the
program with the exit code of SIGTERM, 143.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

T = TypeVar('T')

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
# In seconds. After a signal, a training waits so long for data: schedulers kill it after 30 s.
MAX_DATA_WAIT = 5
NOTE = b'\nsaving a checkpoint after this iteration (Ctrl-C again: end at once)\n'


class DataTimeoutError(BaseException):
    """Data are not loaded in time after a signal. Datasets may catch any Exception."""


class Interrupts:
    """The signals that this process has received, which :func:`handle_signals` handles."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.received = 0  # SIGINT or SIGTERM, after the first signal
        self.is_deferred = False  # whether the program looks at ``received`` itself
        self.is_waiting = False  # for data
        self.process = os.getpid()
        self.peers: list[int] = []  # the process ids of the other ranks on this machine
        # The handlers that were replaced, by signal
        self.handlers: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Raise a KeyboardInterrupt, or only note the signal if the program defers it.

        SIGALRM ends :meth:`wait_for`.
        """
        if number == signal.SIGALRM:
            if self.is_waiting:
                raise DataTimeoutError
            return
        if os.getpid() != self.process:  # a child process, which inherits the handlers
            os._exit(128 + number)
        if self.received:
            # Launchers send ranks the signals that their process group gets too.
            if number == signal.SIGINT and 'RANK' not in os.environ:
                raise KeyboardInterrupt(self.received)
            return
        self.received = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
        for peer in self.peers:  # they may wait for data for long
            with suppress(ProcessLookupError):
                os.kill(peer, number)
        if not self.is_deferred:
            raise KeyboardInterrupt(self.received)
        # From now on, torch's handler would raise an error wherever a data worker ends.
        handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.handlers[signal.SIGCHLD] = handler or signal.SIG_DFL
        if self.is_waiting:
            signal.alarm(MAX_DATA_WAIT)
        if os.environ.get('RANK', '0') == '0':
            # Nobody may read it: Ctrl-C ends tee too, and SIGHUP comes from a closed terminal.
            with suppress(OSError):
                os.write(2, NOTE)  # sys.stderr may be in use

    def wait_for(self, load: Callable[[], T]) -> T:
        """Return what ``load`` returns. After a signal, raise a DataTimeoutError if it takes long.

        From now on, the program looks at ``received`` itself.
        """
        self.is_deferred = self.is_waiting = True
        if self.received:
            signal.alarm(MAX_DATA_WAIT)
        try:
            return load()
        finally:
            self.is_waiting = False


INTERRUPTS = Interrupts()


@contextmanager
def handle_signals() -> Iterator[None]:
    """Let :data:`INTERRUPTS` handle signals, except those that are ignored (nohup).

    Do nothing if it handles them already, or in another thread than the main thread, which cannot
    handle signals.
    """
    is_main_thread = threading.current_thread() is threading.main_thread()
    if INTERRUPTS.handlers or not is_main_thread:
        yield
        return
    INTERRUPTS.reset()
    for number in (*SIGNALS, signal.SIGALRM):
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            INTERRUPTS.handlers[number] = signal.signal(number, INTERRUPTS.receive)
    try:
        yield
    except SyntaxError as error:
        # mmengine's Config makes it of any error while it is written into a checkpoint.
        if INTERRUPTS.received:
            raise KeyboardInterrupt(INTERRUPTS.received) from error
        raise
    finally:
        signal.alarm(0)
        for replaced, handler in INTERRUPTS.handlers.items():
            signal.signal(replaced, handler)
        INTERRUPTS.reset()


def start_worker(initialise: Callable[[int], None] | None, worker: int) -> None:
    """Let a data worker ignore the signals that its whole process group gets, so that it loads what
    its training still needs.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=end_with_parent, daemon=True).start()
    if initialise:
        initialise(worker)


def end_with_parent() -> None:
    """Exit at a SIGTERM of the parent process, with which Python ends its child processes."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
