"""Save and end when a scheduler announces that it is going to kill the job."""

import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from ...registry import HOOKS
from .checkpoint import BACKEND, LAST, PREEMPTED

# "Temporary failure, try again": what a job script asks for before it puts a job back into the queue.
EXIT_CODE = os.EX_TEMPFAIL
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """On SIGTERM or SIGUSR1, finish the step, save ``preempted.pth`` in the work dir, and end with code 75.

    ``--resume`` goes on from there. With accumulated gradients the step is the optimizer's. A run at its last
    iteration ends as usual. A signal during validation is answered after the next iteration.

    Args:
        interval: Of several processes any one may get the signal; so many iterations apart, and at the end of each
            epoch, they ask each other. One process answers after every iteration.
    """

    # After the hooks that save, step schedules or average weights.
    priority = 'LOWEST'

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self.is_warned = False
        # By all processes alike.
        self.is_agreed = False
        self.previous: dict[signal.Signals, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Listen for the signals, which Python allows in the main thread only."""
        # Launchers send them to the data workers too, without which the step cannot be finished. Only Linux tells who
        # has sent a signal.
        for loop in filter(None, (runner.train_loop, runner.val_loop)) if sys.platform == 'linux' else ():
            then = loop.dataloader.worker_init_fn
            loop.dataloader.worker_init_fn = partial(ignore_signals, parent=os.getpid(), then=then)
        if threading.current_thread() is threading.main_thread():
            self.previous = {number: signal.signal(number, self.note) for number in SIGNALS}

    def note(self, number: int, frame: FrameType | None) -> None:
        self.is_warned = True

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        is_end = self.end_of_epoch(runner.train_dataloader, batch_idx)
        if get_world_size() == 1:
            self.is_agreed = self.is_warned
        elif is_end or self.every_n_train_iters(runner, self.interval):
            warned = torch.tensor(int(self.is_warned))
            all_reduce(warned, 'max')
            self.is_agreed = bool(warned)
        if self.is_agreed and has_stepped(runner.optim_wrapper) and not self.is_last_train_iter(runner):
            save(runner)
            runner.logger.warning(f'Preempted: saved {PREEMPTED}, ended with exit code {EXIT_CODE}; --resume goes on')
            raise SystemExit(EXIT_CODE)

    def after_train(self, runner: Runner) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler or signal.SIG_DFL)


def ignore_signals(worker: int, parent: int, then: Any = None) -> None:
    """Have a data worker end on SIGTERM from its parent only, by which torch ends it; ``then`` is the config's own."""

    def end_with_parent() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
            pass
        os._exit(0)

    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=end_with_parent, daemon=True).start()
    if then is not None:
        then(worker)


def has_stepped(wrapper: Any) -> bool:
    """Whether the optimizer has just stepped; of several optimizers that is not asked."""
    return not isinstance(wrapper, OptimWrapper) or wrapper.should_update()


def save(runner: Runner) -> None:
    """Save after an iteration that is not counted yet, and name the file as the last checkpoint."""
    runner.save_checkpoint(runner.work_dir, PREEMPTED, by_epoch=False, backend_args={'backend': BACKEND})
    if is_main_process():
        Path(runner.work_dir, LAST).write_text(str(Path(runner.work_dir, PREEMPTED)))
    barrier()
