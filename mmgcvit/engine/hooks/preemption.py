"""Save a checkpoint and exit when a scheduler preempts the job."""

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

# "Temporary failure", by which job scripts requeue a job.
EXIT_CODE = os.EX_TEMPFAIL
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """On SIGTERM or SIGUSR1, finish the optimizer step, save ``preempted.pth`` in the work dir, and exit with code 75.

    ``--resume`` continues from there. A run at its last iteration ends as usual. During validation the signal takes
    effect after the next iteration.

    Args:
        interval: Iterations between checks whether another process got the signal; they also check at the end of each
            epoch. A single process checks after every iteration.
    """

    # After the hooks that save, step schedules or average weights.
    priority = 'LOWEST'

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self.is_warned = False
        # The same on all ranks.
        self.is_agreed = False
        self.previous: dict[signal.Signals, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Install the signal handlers, which Python allows in the main thread only."""
        # Launchers also signal the data workers, which must survive to finish the step. Only Linux tells the sender.
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
            runner.logger.warning(f'Preempted: saved {PREEMPTED}, exit code {EXIT_CODE}; continue with --resume')
            raise SystemExit(EXIT_CODE)

    def after_train(self, runner: Runner) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler or signal.SIG_DFL)


def ignore_signals(worker: int, parent: int, then: Any = None) -> None:
    """Let only the parent's SIGTERM end a data worker, then call the config's own ``worker_init_fn`` (``then``)."""

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
    """Whether the optimizer has just stepped; True for several optimizers."""
    return not isinstance(wrapper, OptimWrapper) or wrapper.should_update()


def save(runner: Runner) -> None:
    """Save ``preempted.pth`` and name it as the last checkpoint."""
    runner.save_checkpoint(runner.work_dir, PREEMPTED, by_epoch=False, backend_args={'backend': BACKEND})
    if is_main_process():
        Path(runner.work_dir, LAST).write_text(str(Path(runner.work_dir, PREEMPTED)))
    barrier()
