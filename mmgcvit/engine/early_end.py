"""Ending a training early, on a scheduler's warning, so that ``--resume`` goes on from there.

A scheduler says by a signal that a job's time is up, or its machine is wanted, and kills it seconds later.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import FlexibleRunner, IterBasedTrainLoop, Runner

from ..registry import HOOKS
from .saving import save_early

# The exit code of a training that is to be called again with --resume: a temporary failure.
RESUME_ME = os.EX_TEMPFAIL
WARNINGS = (signal.SIGTERM, signal.SIGUSR1)
# Between processes; each question waits for the device.
SECONDS_BETWEEN_QUESTIONS = 1.0


def resume_when_warned() -> None:
    """Have a scheduler's warning end this process with :data:`RESUME_ME` until training starts and it is answered."""
    if threading.current_thread() is threading.main_thread():
        for number in WARNINGS:
            signal.signal(number, lambda *_: sys.exit(RESUME_ME))


@HOOKS.register_module()
class EndEarlyHook(Hook):
    """On SIGTERM or SIGUSR1 finishes the step, saves ``iter_N.pth`` in the work dir, and ends with :data:`RESUME_ME`.

    It is enough that one process of a run gets the signal; they ask each other about once a second, and before each
    validation. With accumulated gradients the step is the optimizer's. A warning during validation is answered after
    it; a training that is at its last step ends as usual.

    Workers that load data do not end on a warning, which schedulers and launchers send to every process of a job.
    """

    # Behind the hooks that save, step schedules or average weights.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.warned_by = 0
        self.found: dict[signal.Signals, Any] = {}
        # The iteration and the moment of the last question, and the iteration of the next.
        self.asked = (0, 0.0)
        self.next_asked = 0

    def before_train(self, runner: Runner | FlexibleRunner) -> None:
        """Listen; only a program's main thread can."""
        self.asked = (runner.iter, time.monotonic())
        # On Linux alone a process can wait for a signal and its sender.
        for loop in filter(None, (runner.train_loop, runner.val_loop)) if sys.platform == 'linux' else ():
            then = loop.dataloader.worker_init_fn
            loop.dataloader.worker_init_fn = partial(begin_sheltered, own=os.getpid(), then=then)
        if threading.current_thread() is threading.main_thread():
            self.found = {number: signal.signal(number, self.note) for number in WARNINGS}

    def note(self, number: int, frame: FrameType | None) -> None:
        self.warned_by = number

    def after_train_iter(
        self, runner: Runner | FlexibleRunner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Where a process was warned, save and end."""
        number = self.warned_by
        if get_world_size() > 1:
            if isinstance(runner.train_loop, IterBasedTrainLoop):
                is_before_validation = self.every_n_train_iters(runner, runner.train_loop.val_interval)
            else:
                is_before_validation = self.end_of_epoch(runner.train_dataloader, batch_idx)
            if runner.iter < self.next_asked and not is_before_validation:
                return
            number = self.ask(runner)
        wrapper = runner.optim_wrapper if number else None
        # Gradients under way are in no checkpoint.
        has_stepped = isinstance(wrapper, OptimWrapperDict) or (wrapper is not None and wrapper.should_update())
        if has_stepped and not self.is_last_train_iter(runner):
            path = save_early(runner)
            runner.logger.warning(
                f'{signal.Signals(number).name}: saved {path} and ended with exit code {RESUME_ME}; call it again with '
                '--resume to go on'
            )
            raise SystemExit(RESUME_ME)

    def ask(self, runner: Runner | FlexibleRunner) -> int:
        """The signal that any process got, if one did. When to ask next, all find alike: by the slowest one's pace."""
        iteration, then = self.asked
        self.asked = runner.iter, time.monotonic()
        told = torch.tensor([self.warned_by, (self.asked[1] - then) / max(runner.iter - iteration, 1)])
        all_reduce(told, 'max')
        number, seconds = told.tolist()
        steps = 1 if number else round(SECONDS_BETWEEN_QUESTIONS / max(seconds, 1e-6))
        self.next_asked = runner.iter + max(steps, 1)
        return int(number)

    def after_train(self, runner: Runner | FlexibleRunner) -> None:
        for number, handler in self.found.items():
            signal.signal(number, handler or signal.SIG_DFL)


def begin_sheltered(number: int, own: int, then: Callable[[int], None] | None) -> None:
    """What a worker begins with: it outlives the signals that warn a run. ``then`` follows."""

    def end_when_told() -> None:
        """Wait for the SIGTERM by which torch ends its workers, from the process that they load for."""
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != own:
            pass
        os._exit(0)

    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=end_when_told, daemon=True).start()
    if then is not None:
        then(number)
