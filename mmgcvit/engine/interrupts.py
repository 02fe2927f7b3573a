"""End a program at a signal by a KeyboardInterrupt, at once or, in a training, between iterations.

Schedulers of clusters send SIGTERM or SIGUSR1, and a closed terminal SIGHUP. They all end the
program with the exit code of SIGTERM, 143.
"""

import ctypes
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkProcess
from types import FrameType
from typing import Any, TypeVar

T = TypeVar('T')

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
# In seconds. After a signal, a training waits so long for data: schedulers kill it after 30 s.
MAX_DATA_WAIT = 5
# Signals that end a rank during its start like SIGTERM, whose exit code schedulers requeue.
START_SIGNALS = (signal.SIGHUP, signal.SIGUSR1)
PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a process gets when its parent ends
POLL_INTERVAL = 1  # in seconds, for the parent process on systems without prctl
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
        # From now on, torch's handler would raise an error wherever a data worker ends, also where
        # the training kills it because it is interrupted.
        handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.handlers[signal.SIGCHLD] = handler or signal.SIG_DFL
        if not self.is_deferred:
            raise KeyboardInterrupt(self.received)
        if self.is_waiting:
            signal.alarm(MAX_DATA_WAIT)
        if os.environ.get('RANK', '0') == '0':
            # Nobody may read it: Ctrl-C ends tee too, and SIGHUP comes from a closed terminal.
            with suppress(OSError):
                os.write(2, NOTE)  # sys.stderr may be in use

    def stop_deferring(self) -> None:
        """From now on, let signals raise a KeyboardInterrupt at once, as does one that has been
        noted since the program last looked at ``received``.
        """
        self.is_deferred = False
        self.raise_received()

    def raise_received(self) -> None:
        """Raise a KeyboardInterrupt for a signal that should have raised one.

        Python ignores what a handler raises where it cannot pass it on, such as in the callbacks
        that run when a process forks.
        """
        if self.received and not self.is_deferred:
            raise KeyboardInterrupt(self.received)

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


@contextmanager
def end_at_signals() -> Iterator[None]:
    """Let the START_SIGNALS end this process, a rank of a launcher, with the exit code of SIGTERM,
    until :func:`handle_signals` handles them.

    By default their exit code would be another one, with which schedulers take the job for failed.
    A Python handler would wait until the main thread runs Python code again, which may be minutes
    later, for example while it waits for other ranks. So Python writes the signal's number to a
    pipe, which it does at once, and a thread reads it. Signals that are ignored (nohup) stay so.
    """
    handlers = {}
    for number in START_SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            handlers[number] = signal.signal(number, lambda *_: None)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    earlier = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=end_at_byte, args=(reader, set(handlers)), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(earlier)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(writer)  # the thread ends


def end_at_byte(reader: int, numbers: set[int]) -> None:
    """End this process if one of these signals comes out of a pipe, unless INTERRUPTS handles
    them.
    """
    while received := os.read(reader, 1):
        if received[0] in numbers and not INTERRUPTS.handlers:
            with suppress(OSError):
                os.write(2, f'interrupted at the start of rank {os.environ.get("RANK")}\n'.encode())
            os._exit(128 + signal.SIGTERM)
    os.close(reader)


def start_worker(initialise: Callable[[int], None] | None, worker: int) -> None:
    """Let a data worker ignore the signals that its whole process group gets, so that it loads what
    its training still needs, and end with its training, also if that is killed.

    torch's workers look for their parent process too, but they may never end: a thread that passes
    a large batch on waits until somebody reads it, and the worker itself has the reading end open.
    """
    blocked = set(SIGNALS)
    knows_sender = hasattr(signal, 'sigwaitinfo')
    if not knows_sender:  # macOS: a SIGTERM may be that of the parent
        blocked.remove(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    if knows_sender:
        threading.Thread(target=end_with_parent, daemon=True).start()
    end_when_parent_is_killed()
    if initialise:
        initialise(worker)


def end_when_parent_is_killed() -> None:
    """Let this process end when its parent process has ended in whatever way.

    On Linux the kernel kills it at once. On other systems a thread looks every second.
    """
    parent = os.getppid()
    process = multiprocessing.current_process()
    creator = multiprocessing.parent_process()
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        threading.Thread(target=end_without, args=(parent,), daemon=True).start()
    else:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have ended before.
    if isinstance(process, ForkProcess) and creator and creator.pid != parent:
        os._exit(0)


def end_without(parent: int) -> None:
    """Exit when the parent process is no longer this one."""
    while os.getppid() == parent:
        time.sleep(POLL_INTERVAL)
    os._exit(0)


def end_with_parent() -> None:
    """Exit at a SIGTERM of the parent process, with which Python ends its child processes."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def get_signal(interrupt: KeyboardInterrupt) -> int:
    """Return the number of the signal that has interrupted a process."""
    return int(interrupt.args[0] if interrupt.args else signal.SIGINT)


def get_exit_code(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code of a process that a signal has interrupted, as a shell reports it."""
    return 128 + get_signal(interrupt)
