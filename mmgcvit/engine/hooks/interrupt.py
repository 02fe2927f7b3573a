"""Save a checkpoint when a training is interrupted by Ctrl-C or SIGTERM."""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.dist import is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..loops import ResumableLoop
from .checkpoint import AtomicCheckpointHook


class InterruptHook(Hook):
    """At the first Ctrl-C or SIGTERM, end a training after the iteration, with a checkpoint; at the second, at once.

    A run also ends at once where it does not train, such as in a validation, and with several processes.
    """

    priority = 'LOWEST'  # after the hooks that save

    def __init__(self) -> None:
        self.process, self.received, self.is_training = os.getpid(), 0, False
        self.checkpoint_hook: AtomicCheckpointHook | None = None

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Handle signals that would raise a KeyboardInterrupt. Print the command that resumes an interrupted run."""
        can_handle = threading.current_thread() is threading.main_thread() and not is_distributed()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number, handler in handlers.items():
            if can_handle and callable(handler):  # else it is the system's, or the signal is ignored (nohup)
                signal.signal(number, self.receive)
        try:
            yield
        except KeyboardInterrupt:
            is_command = can_handle and sys.argv[0].endswith(('mmgcvit train', 'train.py'))
            if is_command and self.checkpoint_hook and self.checkpoint_hook.last_ckpt:
                sys.stdout.write(f'continue with: {format_resume_command()}\n')
            raise
        finally:
            for number, handler in handlers.items() if can_handle else ():
                signal.signal(number, handler)

    def receive(self, number: int, frame: object) -> None:
        if os.getpid() != self.process:  # a data worker, which also gets the Ctrl-C of its terminal
            return None if number == signal.SIGINT else os._exit(128 + number)
        if self.received or not self.is_training:
            raise KeyboardInterrupt(number)
        self.received = number
        # In a signal handler, sys.stderr may be in use.
        os.write(2, b'\nsaving a checkpoint after this iteration (Ctrl-C again: end at once)\n')
        return None

    def before_train(self, runner: Runner) -> None:
        self.checkpoint_hook = next((hook for hook in runner.hooks if isinstance(hook, AtomicCheckpointHook)), None)

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        self.is_training = self.checkpoint_hook is not None and isinstance(runner.train_loop, ResumableLoop)

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if self.received and self.checkpoint_hook.save_within_epoch(runner):
            raise KeyboardInterrupt(self.received)

    def before_val(self, runner: Runner) -> None:
        self.is_training = False
        if self.received:  # after the last iteration before
            raise KeyboardInterrupt(self.received)

    after_train = before_val


def format_resume_command() -> str:
    """Return the command of this process with ``--resume`` in place of ``--overwrite``."""
    program, *arguments = sys.argv
    kept = [word for word in arguments if not (word.startswith('--o') and '--overwrite'.startswith(word))]
    return f'{"python " * program.endswith(".py")}{program} {shlex.join([*kept, "--resume"])}'
