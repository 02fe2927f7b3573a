"""Stop a training at Ctrl-C or SIGTERM, with a checkpoint, or when its best score has not improved."""

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
from ...registry import HOOKS
from ..loops import ResumableLoop, get_length
from .checkpoint import AtomicCheckpointHook
from .exact_resume import is_validation_due


class InterruptHook(Hook):
    """At the first Ctrl-C or SIGTERM, end a training after the iteration, with a checkpoint; at the
    second, at once.

    A run also ends at once where it does not train, such as in a validation, and with several
    processes.
    """

    priority = 'LOWEST'  # after the hooks that save

    def __init__(self) -> None:
        self.process, self.received, self.is_training = os.getpid(), 0, False
        self.checkpoint_hook: AtomicCheckpointHook | None = None
        self.handlers = {
            number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
        }

    @contextmanager
    def handle_signals(self) -> Iterator['InterruptHook']:
        """Handle signals that would raise a KeyboardInterrupt.

        Print the command that resumes an interrupted run.
        """
        can_handle = threading.current_thread() is threading.main_thread() and not is_distributed()
        for number, handler in self.handlers.items():
            if can_handle and callable(
                handler
            ):  # else it is the system's, or the signal is ignored (nohup)
                signal.signal(number, self.receive)
        try:
            yield self
        except (KeyboardInterrupt, SyntaxError, UserError) as error:
            # mmengine's Config turns a KeyboardInterrupt into a SyntaxError while it is written
            # into a checkpoint.
            interrupt = error.__context__ if isinstance(error, SyntaxError) else error
            if self.received and str(error).startswith(
                'DataLoader worker'
            ):  # they end at a SIGTERM too
                interrupt = KeyboardInterrupt(self.received)
            if not isinstance(interrupt, KeyboardInterrupt):
                raise
            is_command = can_handle and sys.argv[0].endswith(('mmgcvit train', 'train.py'))
            if (
                is_command
                and self.checkpoint_hook
                and Path(self.checkpoint_hook.last_ckpt or '').is_file()
            ):
                sys.stdout.write(f'continue with: {format_resume_command()}\n')
            raise interrupt from None
        finally:
            for number, handler in self.handlers.items() if can_handle else ():
                signal.signal(number, handler)

    def receive(self, number: int, frame: object) -> None:
        is_main = os.getpid() == self.process
        if (
            not is_main and number == signal.SIGINT
        ):  # data workers also get the Ctrl-C of their terminal
            return
        # If Python ignores the error of a handler, as it does while a process is forked,
        # after_train_iter ends the run.
        is_first, self.received = not self.received, self.received or number
        if is_main and self.is_training and is_first:
            # Data workers may get the signal too. When they end, torch's handler would raise an
            # error.
            self.handlers[signal.SIGCHLD] = (
                signal.signal(signal.SIGCHLD, lambda *_: None) or signal.SIG_DFL
            )
            # In a signal handler, sys.stderr may be in use.
            os.write(2, b'\nsaving a checkpoint after this iteration (Ctrl-C again: end at once)\n')
        else:
            self.handlers[number](number, frame)

    def before_train(self, runner: Runner) -> None:
        self.checkpoint_hook = next(
            (hook for hook in runner.hooks if isinstance(hook, AtomicCheckpointHook)), None
        )

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        self.is_training = self.checkpoint_hook is not None and isinstance(
            runner.train_loop, ResumableLoop
        )

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if self.received and (
            not self.is_training or self.checkpoint_hook.save_within_epoch(runner)
        ):
            raise KeyboardInterrupt(self.received)

    def before_val(self, runner: Runner) -> None:
        self.is_training = False
        if self.received:  # after the last iteration before
            raise KeyboardInterrupt(self.received)

    after_train = before_val


def format_resume_command() -> str:
    """Return the command of this process with ``--resume`` in place of ``--overwrite``."""
    program, *arguments = sys.argv
    kept = [
        word
        for word in arguments
        if not (word.startswith('--o') and '--overwrite'.startswith(word))
    ]
    return f'{"python " * program.endswith(".py")}{program} {shlex.join([*kept, "--resume"])}'


@HOOKS.register_module()
class PatienceHook(Hook):
    """Stop training after ``patience`` validations in a row without a better score.

    The score is that of the best checkpoint; if there are several, each of them counts. An equal
    score is not better, though a checkpoint with it replaces the best one. Unlike mmengine's
    EarlyStoppingHook, this hook does not restart its count in a resumed run, even with another
    ``val_interval``.
    """

    # Run after CheckpointHook, and after the hook that reruns an interrupted validation.
    priority = 'LOWEST'

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def before_train(self, runner: Runner) -> None:
        if (
            not any(getattr(hook, 'save_best', None) for hook in runner.hooks)
            or runner.val_loop is None
        ):
            needed = 'a validation (with objects, or images of several classes) and default_hooks.checkpoint.save_best'
            raise UserError(f'--patience needs {needed}. Set them, or remove --patience')
        # The checkpoint of a resumed run was saved before the validation at its position, which
        # need not be repeated.
        self.stop_if_due(
            runner, is_validated=get_length(runner)[1] > 0 and is_validation_due(runner)
        )

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        self.stop_if_due(runner, is_validated=True)

    def stop_if_due(self, runner: Runner, is_validated: bool) -> None:
        """Count the validation at this position, once.

        Stop if ``patience`` of them have not improved the score.
        """
        unit, done, _ = get_length(runner)
        info = runner.message_hub.runtime_info
        scores = [score for name, score in sorted(info.items()) if name.startswith('best_score')]
        state = info.get('patience', {'position': 0, 'scores': [], 'count': 0})
        if is_validated and state['position'] != done:
            # There is none before the first score. Earlier versions have not stored it.
            count = state['count'] + 1 if scores in ([], state.get('scores')) else 0
            state = {'position': done, 'scores': scores, 'count': count}
            runner.message_hub.update_info('patience', state)  # which checkpoints store
        if state['count'] >= self.patience:
            cause = f'{state["count"]} validations have not improved the best score (--patience)'
            runner.logger.warning(f'the training stops after {unit} {done}: {cause}')
            runner.train_loop.stop_training = True
