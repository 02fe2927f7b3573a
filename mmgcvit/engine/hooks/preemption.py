"""Save a checkpoint and exit when a job scheduler, such as slurm, preempts the job."""

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
from mmengine.runner import Runner

from ...checkpoints.latest import LAST_CHECKPOINT_FILE, PREEMPTED_FILE
from ...registry import HOOKS
from ..loops import has_stepped
from .checkpoint import ATOMIC_BACKEND

# The code for "temporary failure". By it, a job script can tell that the job was preempted.
PREEMPTED_EXIT_CODE = os.EX_TEMPFAIL
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """On SIGTERM or SIGUSR1, finish the optimizer step, save ``preempted.pth`` in the work dir, and exit with code 75.

    ``--resume`` continues from this checkpoint. After a signal in its last iteration, a run ends as usual. A signal
    during validation takes effect after the next training iteration.

    Args:
        interval: Number of iterations after which all ranks check whether any of them got a signal. They also check at
            the end of each epoch. If there is only one process, it checks after every iteration.
    """

    # Run after the hooks that save, step LR schedulers or average weights, and before ExactResumeHook, which may
    # validate before the training.
    priority = 95

    def __init__(self, interval: int = 10) -> None:
        self.interval, self.got_signal = interval, False
        self.is_preempted = False  # whether any rank got a signal, so that it is equal on all ranks
        self.previous_handlers: dict[signal.Signals, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Install signal handlers here (Python allows this only in the main thread) and in dataloader workers."""
        # Launchers also signal dataloader workers, which must live until the step is done. On Linux, a worker sees
        # which process has sent a signal, so it can ignore a launcher's signals.
        for loop in filter(None, (runner.train_loop, runner.val_loop)) if sys.platform == 'linux' else ():
            init_fn = loop.dataloader.worker_init_fn
            loop.dataloader.worker_init_fn = partial(ignore_signals, parent_pid=os.getpid(), worker_init_fn=init_fn)
        if threading.current_thread() is threading.main_thread():
            self.previous_handlers = {signum: signal.signal(signum, self.record_signal) for signum in SIGNALS}

    def record_signal(self, signum: int, frame: FrameType | None) -> None:
        self.got_signal = True

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        is_end = self.end_of_epoch(runner.train_dataloader, batch_idx)
        if get_world_size() == 1:
            self.is_preempted = self.got_signal
        elif is_end or self.every_n_train_iters(runner, self.interval):
            got_signal = torch.tensor(int(self.got_signal))
            all_reduce(got_signal, 'max')
            self.is_preempted = bool(got_signal)
        if self.is_preempted and has_stepped(runner) and not self.is_last_train_iter(runner):
            backend = {'backend': ATOMIC_BACKEND}
            runner.save_checkpoint(runner.work_dir, PREEMPTED_FILE, by_epoch=False, backend_args=backend)
            if is_main_process():
                Path(runner.work_dir, LAST_CHECKPOINT_FILE).write_text(str(Path(runner.work_dir, PREEMPTED_FILE)))
            barrier()
            runner.logger.warning(
                f'Preempted: saved {PREEMPTED_FILE}. The exit code is {PREEMPTED_EXIT_CODE}. Continue with --resume'
            )
            raise SystemExit(PREEMPTED_EXIT_CODE)

    def after_train(self, runner: Runner) -> None:
        for signum, handler in self.previous_handlers.items():
            signal.signal(signum, handler or signal.SIG_DFL)


def ignore_signals(worker_id: int, parent_pid: int, worker_init_fn: Any = None) -> None:
    """Let a dataloader worker ignore SIGUSR1, and SIGTERM unless its parent sends it. Call ``worker_init_fn``."""

    def end_with_parent() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent_pid:
            pass
        os._exit(0)

    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=end_with_parent, daemon=True).start()
    if worker_init_fn is not None:
        worker_init_fn(worker_id)
