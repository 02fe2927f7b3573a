"""Stop a training at Ctrl-C or SIGTERM, with a checkpoint."""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...errors import UserError
from ..loops import ResumableLoop
from .checkpoint import AtomicCheckpointHook


class InterruptHook(Hook):
    """At the first Ctrl-C or SIGTERM, end a training after the iteration, with a checkpoint; at the
    second, at once.

    A run also ends at once where it does not train, such as in a validation, and with several
    processes.
    """

    priority = 'LOWEST'  # after the hooks that save

    def __init__(self) -> None:
        self.process = os.getpid()
        self.received = 0  # the first signal
        self.is_training = False
        self.checkpoint_hook: AtomicCheckpointHook | None = None
        # The command's own handlers raise a KeyboardInterrupt.
        numbers = (signal.SIGINT, signal.SIGTERM)
        self.handlers = {number: signal.getsignal(number) for number in numbers}

    @contextmanager
    def handle_signals(self) -> Iterator['InterruptHook']:
        """Handle signals that would raise a KeyboardInterrupt.

        Print the command that resumes an interrupted run.
        """
        if is_distributed() or threading.current_thread() is not threading.main_thread():
            self.handlers = {}
        for number, handler in self.handlers.items():
            if callable(handler):  # else it is the system's, or the signal is ignored (nohup)
                signal.signal(number, self.receive)
        try:
            yield self
        except (KeyboardInterrupt, SyntaxError, UserError) as error:
            interrupt = self.find_interrupt(error)
            if interrupt is None:
                raise
            is_command = sys.argv[0].endswith(('mmgcvit train', 'train.py'))
            checkpoint = Path(getattr(self.checkpoint_hook, 'last_ckpt', None) or '')
            if self.handlers and is_command and checkpoint.is_file():
                sys.stdout.write(f'continue with: {format_resume_command()}\n')
            raise interrupt from None
        finally:
            for number, handler in self.handlers.items():
                signal.signal(number, handler)

    def find_interrupt(self, error: BaseException) -> KeyboardInterrupt | None:
        """Return the KeyboardInterrupt behind an error, or None."""
        # Data workers end at a SIGTERM too.
        if self.received and str(error).startswith('DataLoader worker'):
            return KeyboardInterrupt(self.received)
        # mmengine's Config turns a KeyboardInterrupt into a SyntaxError while it is written into a
        # checkpoint.
        if isinstance(error, SyntaxError):
            error = error.__context__
        return error if isinstance(error, KeyboardInterrupt) else None

    def receive(self, number: int, frame: object) -> None:
        is_worker = os.getpid() != self.process
        if is_worker and number == signal.SIGINT:  # they also get the Ctrl-C of their terminal
            return
        is_first = not self.received
        # If Python ignores the error of a handler, as it does while a process is forked,
        # after_train_iter ends the run.
        self.received = self.received or number
        if is_worker or not is_first or not self.is_training:
            self.handlers[number](number, frame)
            return
        # Data workers may get the signal too. When they end, torch's handler would raise an error.
        handler = signal.signal(signal.SIGCHLD, lambda *_: None)
        self.handlers[signal.SIGCHLD] = handler or signal.SIG_DFL
        # In a signal handler, sys.stderr may be in use.
        os.write(2, b'\nsaving a checkpoint after this iteration (Ctrl-C again: end at once)\n')

    def before_train(self, runner: Runner) -> None:
        for hook in runner.hooks:
            if isinstance(hook, AtomicCheckpointHook):
                self.checkpoint_hook = hook

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        is_resumable = isinstance(runner.train_loop, ResumableLoop)
        self.is_training = is_resumable and self.checkpoint_hook is not None

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if not self.received:
            return
        if not self.is_training or self.checkpoint_hook.save_within_epoch(runner):
            raise KeyboardInterrupt(self.received)

    def before_val(self, runner: Runner) -> None:
        self.is_training = False
        if self.received:  # after the last iteration before
            raise KeyboardInterrupt(self.received)

    after_train = before_val


def format_resume_command() -> str:
    """Return the command of this process with ``--resume`` in place of ``--overwrite``."""
    program, *arguments = sys.argv
    if program.endswith('.py'):
        program = f'python {program}'
    for word in list(arguments):
        if word.startswith('--o') and '--overwrite'.startswith(word):  # it may be shortened
            arguments.remove(word)
    return f'{program} {shlex.join([*arguments, "--resume"])}'
