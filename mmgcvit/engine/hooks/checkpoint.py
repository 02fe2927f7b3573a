"""Save checkpoints atomically, so that a killed run leaves no truncated checkpoint, and load them
safely.
"""

import operator
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from copy import copy
from functools import partial
from math import isfinite
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from mmengine.dist import all_gather_object, is_distributed, is_main_process, master_only
from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner, find_latest_checkpoint

from ...checkpoints.safe_loading import RUN_FILE_NAME, safe_checkpoint_loading
from ...datasets.checks.scores import find_unscored
from ...files import TEMPORARY_SUFFIX, write_atomically
from ...interrupts import INTERRUPTS, DataTimeoutError, start_worker
from ...mmengine_utils import ends_step, get_timeout
from ...private_api import get_checkpoint_loaders
from ...registry import HOOKS
from ..loops import ResumableLoop
from ..save_time import measure_save

ATOMIC_BACKEND = 'mmgcvit.AtomicBackend'
# Key of mmengine's message hub, which checkpoints store, for the names of the files that are still
# to be removed.
OUTDATED = 'outdated_ckpts'


class AtomicBackend(LocalBackend):
    """A local file backend that writes files atomically, and lists in ``outdated`` which files it
    should remove.
    """

    def __init__(self) -> None:
        self.outdated = []  # names

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        with write_atomically(Path(filepath)) as temporary:
            temporary.write_bytes(obj)

    def remove(self, filepath: str | Path) -> None:
        """Let :meth:`AtomicCheckpointHook.remove_outdated` remove a file."""
        self.outdated.append(Path(filepath).name)


register_backend(ATOMIC_BACKEND, AtomicBackend)


def get_resumed_checkpoint(runner: Runner) -> Path | None:
    """Return the path (or URL) of the checkpoint from which a run resumes, or None if the run does
    not resume.
    """
    if not runner.cfg.get('resume'):
        return None
    # As mmengine's Runner.
    checkpoint = runner.cfg.get('load_from') or find_latest_checkpoint(runner.work_dir)
    return checkpoint and Path(checkpoint)


def list_local_ranks() -> list[int]:
    """Return the process ids of the other ranks on this machine and in this container."""
    machine = socket.gethostname(), Path('/proc/self/ns/pid').readlink()
    ranks = all_gather_object((machine, os.getpid()))
    return [pid for place, pid in ranks if place == machine and pid != os.getpid()]


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """Save checkpoints atomically and remove outdated ones afterwards, which needs disk space for
    one more checkpoint.

    mmengine's ``CheckpointHook`` removes the oldest or the previous best checkpoint before it
    writes the new one in place. So a killed run can leave a truncated checkpoint or none. Its
    arguments are those of this hook, except ``backend_args``, because this hook writes local files
    only. Of equal scores, the later one is the best. NaN, infinity and -1, COCO's score without
    objects, are none. :func:`.find_unscored` finds data without scores.

    Args:
        time_interval: After this number of seconds without a checkpoint, a run saves
            ``iter_N.pth``. The next checkpoint replaces it.
        **kwargs: Arguments of mmengine's hook.

    Checkpoints by time and at a signal need this project's loops. All ranks decide together, after
    each has loaded its next batch and before they train on it, by a reduction on the CPU, which
    does not wait for the GPU. Rank 0's clock counts.
    """

    rule_map: ClassVar = {'greater': operator.ge, 'less': operator.le}

    def __init__(self, time_interval: float = 1200, **kwargs):
        super().__init__(backend_args={'backend': ATOMIC_BACKEND}, **kwargs)
        self.time_interval = time_interval
        self.group = None  # of all ranks, on their CPUs

    def before_train(self, runner: Runner) -> None:
        if self.save_best and runner.val_loop:
            unscored = find_unscored(runner.val_dataloader.dataset)
            if unscored:
                self.save_best = None  # as PatienceHook and SummaryHook read it
                runner.logger.warning(
                    f'the validation images have {unscored}, so their scores say nothing: no '
                    'checkpoint is saved as the best one, and commands use the last one'
                )
        super().before_train(runner)
        self.note_save(0)
        if is_distributed():
            self.group = dist.new_group(backend='gloo', timeout=get_timeout(runner.cfg))
            INTERRUPTS.peers = list_local_ranks()
        if isinstance(runner.train_loop, ResumableLoop):
            runner.train_loop.load_next = partial(self.load_next, runner)
        for loop in filter(None, (runner.train_loop, runner.val_loop)):
            loader = loop.dataloader
            loader.worker_init_fn = partial(start_worker, loader.worker_init_fn)
        info = runner.message_hub.runtime_info
        outdated = self.file_backend.outdated
        resumed = get_resumed_checkpoint(runner)
        if resumed and resumed.parent.resolve() == Path(self.out_dir).resolve():
            # If the run begins with a validation and its score is the best one, mmengine updates
            # this checkpoint.
            self.last_ckpt = str(resumed)
            self.saved_iter = runner.iter
            # A killed run may not have removed them. A crafted checkpoint can name any files.
            names = [Path(name).name for name in info.get(OUTDATED, ())]
            outdated += filter(RUN_FILE_NAME.fullmatch, names)
        runner.message_hub.update_info(OUTDATED, outdated)
        self.remove_outdated(runner)
        if is_main_process():
            for temporary in Path(self.out_dir).glob(f'*.pth.*{TEMPORARY_SUFFIX}'):
                temporary.unlink()  # a killed run has left it unfinished

    def load_next(self, runner: Runner, batches: Iterator) -> Any:
        """Return the next batch, or None after the last one of an epoch.

        Before it, save a checkpoint if it is time, or if a rank has received a signal: then raise a
        KeyboardInterrupt on all ranks.
        """
        batch = None
        is_late = False
        try:
            batch = INTERRUPTS.wait_for(lambda: next(batches, None))
        except (DataTimeoutError, RuntimeError):  # torch's error if workers are dead
            if not INTERRUPTS.received:
                raise
            is_late = True
        self.save_between(runner, is_late)
        return batch

    def before_val(self, runner: Runner) -> None:
        if INTERRUPTS.is_deferred:  # else this is a validation before the first iteration
            self.save_between(runner)
        INTERRUPTS.is_deferred = False  # a resumed run repeats an interrupted validation

    def after_train(self, runner: Runner) -> None:
        INTERRUPTS.is_deferred = False
        super().after_train(runner)

    def save_between(self, runner: Runner, is_late: bool = False) -> None:
        """Between iterations, save a checkpoint if it is time or a rank has received a signal.

        ``is_late`` says that there are no data for the next iteration, so that gradients that are
        being accumulated are lost. Raise a KeyboardInterrupt at a signal.
        """
        is_time = is_main_process() and time.monotonic() >= self.next_time
        is_time, is_stopping, is_late = self.agree(is_time, INTERRUPTS.received > 0, is_late)
        can_save = ends_step(runner)
        if can_save and (is_time or is_stopping) and self.saved_iter != runner.iter:
            self.save_now(runner)
        if is_late or (can_save and is_stopping):
            self.agree(True)  # wait, because launchers kill the other ranks when one ends
            raise KeyboardInterrupt(INTERRUPTS.received or signal.SIGTERM)

    def agree(self, *answers: bool) -> list[bool]:
        """Return which answers are True on any rank."""
        numbers = torch.tensor(answers).int()
        if self.group:
            dist.all_reduce(numbers, dist.ReduceOp.MAX, group=self.group)
        return numbers.bool().tolist()

    def save_now(self, runner: Runner) -> None:
        """Save ``iter_N.pth``, which the next checkpoint replaces."""
        self.note_save(runner.iter)
        self.file_backend.outdated.append(f'iter_{runner.iter}.pth')
        # As a hook of mmengine whose checkpoints have such names and are all kept.
        hook = copy(self)
        hook.filename_tmpl = 'iter_{}.pth'
        hook.max_keep_ckpts = 0
        meta = {'epoch': runner.epoch, 'iter': runner.iter}
        with measure_save(runner):
            CheckpointHook._save_checkpoint_with_step(hook, runner, runner.iter, meta)
        self.last_ckpt = hook.last_ckpt
        self.remove_outdated(runner)

    def note_save(self, iteration: int) -> None:
        self.saved_iter = iteration  # the number of trained iterations in the last checkpoint
        self.next_time = time.monotonic() + self.time_interval

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Save the checkpoint if one of the scores is the best so far."""
        scores = dict(metrics)
        for name, score in metrics.items():
            if isinstance(score, Real) and (score == -1 or not isfinite(score)):
                scores[name] = None
        super()._save_best_checkpoint(runner, scores)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, int]) -> None:
        """Save ``epoch_N.pth`` or ``iter_N.pth``, then remove the checkpoints that are no longer
        needed.
        """
        self.note_save(meta['iter'])
        with measure_save(runner):
            super()._save_checkpoint_with_step(runner, step, meta)
        self.remove_outdated(runner)

    @master_only
    def remove_outdated(self, runner: Runner) -> None:
        """Remove outdated checkpoints, except those that were written again since, and the last one
        until the next.
        """
        info = runner.message_hub.runtime_info
        outdated = self.file_backend.outdated
        kept = {self.filename_tmpl.format(step) for step in info.get('keep_ckpt_ids', ())}
        for key, path in info.items():
            if key.startswith('best_ckpt') and path:
                kept.add(Path(path).name)
        last = Path(self.last_ckpt or '').name
        names = {*outdated} - kept
        for name in names - {last}:
            Path(self.out_dir, name).unlink(missing_ok=True)
        outdated[:] = names & {last}


@HOOKS.register_module()
class SafeLoadHook(Hook):
    """Hook that applies :func:`safe_checkpoint_loading` to the whole run if OpenMMLab's own scripts
    start it.
    """

    def before_run(self, runner: Any) -> None:
        self.context = ExitStack()
        # This package's commands have entered the context already, before they built the runner.
        if get_checkpoint_loaders()[''].__module__ != safe_checkpoint_loading.__module__:
            self.context.enter_context(safe_checkpoint_loading(runner.work_dir))

    def after_run(self, runner: Any) -> None:
        self.context.close()
