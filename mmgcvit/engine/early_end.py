"""Ending a training early, on a scheduler's warning, so that ``--resume`` goes on from there.

A scheduler says by a signal that a job's time is up, or its machine is wanted, and kills it seconds later.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import FlexibleRunner, Runner
from torch.utils.data import DataLoader

from ..registry import HOOKS
from .saving import save_early

# The exit code of a training that is to be called again with --resume: a temporary failure.
RESUME_ME = os.EX_TEMPFAIL
WARNINGS = (signal.SIGTERM, signal.SIGUSR1)


def resume_when_warned() -> None:
    """Have a scheduler's warning end this process with :data:`RESUME_ME` until training starts and it is answered."""
    if threading.current_thread() is threading.main_thread():
        for number in WARNINGS:
            signal.signal(number, lambda *_: sys.exit(RESUME_ME))


@HOOKS.register_module()
class EndEarlyHook(Hook):
    """On SIGTERM or SIGUSR1 finishes the step, saves ``iter_N.pth`` in the work dir, and ends with :data:`RESUME_ME`.

    It is enough that one process of a run gets the signal. With accumulated gradients the step is the optimizer's. A
    warning during validation is answered after the next step; a training that is at its last one ends as usual.

    Workers that load data do not end on a warning, which schedulers and launchers send to every process of a job.
    """

    # Behind the hooks that save, step schedules or average weights.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.warned_by = 0
        self.found: dict[signal.Signals, Any] = {}

    def before_train(self, runner: Runner | FlexibleRunner) -> None:
        """Listen; only a program's main thread can."""
        for loop in filter(None, (runner.train_loop, runner.val_loop)):
            shelter_workers(loop.dataloader)
        if threading.current_thread() is threading.main_thread():
            self.found = {number: signal.signal(number, self.note) for number in WARNINGS}

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal until the step is done."""
        self.warned_by = number

    def after_train_iter(
        self, runner: Runner | FlexibleRunner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Where a process was warned, save and end."""
        heard = torch.tensor([self.warned_by])
        all_reduce(heard, 'max')
        wrapper = runner.optim_wrapper if heard.item() else None
        # Gradients under way are in no checkpoint.
        has_stepped = isinstance(wrapper, OptimWrapperDict) or (wrapper is not None and wrapper.should_update())
        if has_stepped and not self.is_last_train_iter(runner):
            path = save_early(runner)
            runner.logger.warning(
                f'{signal.Signals(heard.item()).name}: saved {path} and ended with exit code {RESUME_ME}; call it '
                'again with --resume to go on'
            )
            raise SystemExit(RESUME_ME)

    def after_train(self, runner: Runner | FlexibleRunner) -> None:
        """Restore what signals did before."""
        for number, handler in self.found.items():
            signal.signal(number, handler or signal.SIG_DFL)


def shelter_workers(loader: DataLoader) -> None:
    """Have the processes that load data, once they start, outlive the signals that warn a run; on Linux only."""
    if sys.platform == 'linux':
        loader.worker_init_fn = partial(begin_sheltered, own=os.getpid(), then=loader.worker_init_fn)


def begin_sheltered(number: int, own: int, then: Callable[[int], None] | None) -> None:
    """What a worker begins with: it ends when its own process tells it to, not when others do. ``then`` follows."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=end_when_told, args=(own,), daemon=True).start()
    if then is not None:
        then(number)


def end_when_told(own: int) -> None:
    """Wait for the SIGTERM by which torch ends its workers, from the process that they load for."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != own:
        pass
    os._exit(0)
