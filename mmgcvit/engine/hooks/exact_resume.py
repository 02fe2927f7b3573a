"""Resume runs: store and restore what mmengine's checkpoints lack, and recompute LR schedules that
have changed.

A run is resumed in this order:

1. ``work_dir.py`` locks the work dir and chooses the checkpoint;
2. ``checkpoints/safe_loading.py`` reads the file once, without running code from it;
3. :class:`ExactResumeHook` rebuilds the log histories and passes the position in the data to
   ``loops.py``;
4. mmengine's ``Runner.resume`` restores weights, optimizer, LR schedulers, epoch and iteration;
5. :class:`NewScheduleHook` recomputes the LR schedule if its settings or the epochs' lengths have
   changed;
6. :class:`ExactResumeHook` reruns an interrupted validation;
7. ``loops.py`` continues, even within an epoch, with the random numbers of an uninterrupted run.
"""

import warnings
from bisect import bisect
from collections.abc import Mapping
from copy import deepcopy
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from ...config import get_plain_settings
from ...errors import CheckpointError
from ...files import write_text
from ...mmengine_utils import call_on_rank_0
from ...registry import HOOKS
from ..loops import DATA_POSITION, ResumableLoop, get_length
from .checkpoint import get_resumed_checkpoint

SETTINGS = 'settings'  # key of a checkpoint's meta for the run's settings in types of JSON
# A file in the work dir with the epoch or iteration of the last complete validation, such as "epoch
# 3".
VALIDATED_FILE = 'validated'


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Let runs resume bit-exactly from checkpoints that ``torch.load`` reads with
    ``weights_only=True``.

    Add the settings and the position in the data of this project's loops to what mmengine saves,
    and convert logs, counters and LR schedulers to tensors and built-in types. A resumed run first
    reruns an interrupted validation.
    """

    # Convert what other hooks have added to a checkpoint, and validate after they have prepared the
    # training.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.is_training = False
        self.resumed_from: Path | None = None  # the checkpoint

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if isinstance(runner.train_loop, ResumableLoop):
            checkpoint['meta'][DATA_POSITION] = runner.train_loop.get_state(checkpoint['meta'])
        checkpoint['meta'][SETTINGS] = get_plain_settings(runner.cfg)
        for key in checkpoint.keys() & {'meta', 'message_hub', 'param_schedulers'}:
            checkpoint[key] = simplify(checkpoint[key])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        # mmengine also calls this method if load_from is set without resume.
        self.resumed_from = get_resumed_checkpoint(runner)
        if self.resumed_from is None:
            return
        meta = checkpoint.get('meta', {})
        required = {'optimizer': checkpoint, 'message_hub': checkpoint, 'epoch': meta, 'iter': meta}
        if missing := [name for name, holder in required.items() if name not in holder]:
            problem = f'{self.resumed_from} has no {" and no ".join(missing)}, so a run cannot resume from it'
            raise CheckpointError(
                f'{problem}. To use its weights: --cfg-options load_from={self.resumed_from}'
            )
        if not all(type(meta[name]) is int and meta[name] >= 0 for name in ('epoch', 'iter')):
            raise CheckpointError(
                f'{self.resumed_from} has an invalid epoch or iteration. Use another checkpoint'
            )
        logs = checkpoint['message_hub'].get('log_scalars', {})
        for name, log in logs.items():
            if isinstance(log, dict):  # which simplify has made of a HistoryBuffer
                logs[name] = HistoryBuffer(
                    log['history'].tolist(), log['counts'].tolist(), log['max_length']
                )
        if isinstance(runner.train_loop, ResumableLoop):
            # mmengine continues at this iteration.
            checkpoint['meta']['iter'] = runner.train_loop.resume(checkpoint['meta'])

    def before_train(self, runner: Runner) -> None:
        self.is_training = True
        if self.resumed_from is not None and call_on_rank_0(self.is_validation_missing, runner):
            runner.logger.info(
                f'the validation of {format_position(runner)} is missing, so it comes first'
            )
            runner.val_loop.run()

    def is_validation_missing(self, runner: Runner) -> bool:
        """Return whether a validation at the current epoch or iteration was interrupted."""
        # The run may continue in another folder than the checkpoint's.
        file = self.resumed_from.parent / VALIDATED_FILE
        is_validated = file.is_file() and file.read_text(errors='replace') == format_position(
            runner
        )
        return not is_validated and is_validation_due(runner)

    @master_only
    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        if self.is_training:
            write_text(Path(runner.work_dir, VALIDATED_FILE), format_position(runner))


class NewScheduleHook(Hook):
    """Recompute the LR schedule of a resumed run, as if the run had always had the LR and schedule
    of its config.

    mmengine would restore the LR and schedule of the checkpoint. They are recomputed if the config
    has another number of epochs or iterations, another LR or other LR schedulers, or if a batch has
    another number of images. Schedules that depend on scores, and those of several optimizers, are
    restored. ``is_changed`` says whether such settings of the config have changed.
    """

    def __init__(self, param_scheduler: Any, is_changed: bool) -> None:
        self.param_scheduler, self.is_changed = deepcopy(param_scheduler), is_changed

    def before_run(self, runner: Runner) -> None:
        # mmengine has built the optimizer, but not yet loaded the checkpoint's LRs into it.
        is_single = not isinstance(runner.optim_wrapper, OptimWrapperDict)
        groups = runner.optim_wrapper.param_groups if is_single else ()
        self.lrs = [group.get('initial_lr', group['lr']) for group in groups]

    def before_train(self, runner: Runner) -> None:
        if not (self.is_changed or getattr(runner.train_loop, 'has_new_batch_size', False)):
            return
        if not self.lrs or any(
            hasattr(scheduler, 'need_val_args') for scheduler in runner.param_schedulers or ()
        ):
            runner.logger.warning(
                'the LR schedule goes on as in the checkpoint, because it cannot be recomputed'
            )
            return
        unit, _, length = get_length(runner)
        # Undo the changes of schedulers, which keep the first values as initial_lr,
        # initial_momentum, ...
        for group, lr in zip(runner.optim_wrapper.param_groups, self.lrs, strict=True):
            group.update({name: lr for name in ('lr', 'initial_lr') if name in group})
            initial = {name: value for name, value in group.items() if name.startswith('initial_')}
            group.update({name.removeprefix('initial_'): value for name, value in initial.items()})
        if self.param_scheduler is None:
            runner.logger.info(f'training goes on until {unit} {length}')
            return
        with warnings.catch_warnings():
            # mmengine warns if schedulers step before the optimizer does.
            warnings.simplefilter('ignore', UserWarning)
            runner.param_schedulers = runner.build_param_scheduler(self.param_scheduler)
            by_iter, by_epoch = (
                [s for s in runner.param_schedulers if s.by_epoch is flag] for flag in (False, True)
            )
            for iteration in range(1, runner.iter + 1):
                # An epoch ends after its last iteration, from which a run may resume.
                epoch, rest = divmod(iteration, len(runner.train_dataloader))
                ends_epoch = rest == 0 and epoch <= runner.epoch
                for scheduler in chain(by_iter, by_epoch if ends_epoch else ()):
                    scheduler.step()
        runner.logger.info(
            f'training goes on until {unit} {length}, with the LR schedule of the config'
        )


def format_position(runner: Runner) -> str:
    """Return the number of trained epochs, or iterations in an iteration-based run, as text."""
    unit, done, _ = get_length(runner)
    return f'{unit} {done}'


def is_validation_due(runner: Runner) -> bool:
    """Return whether mmengine's loop would have validated at the current epoch or iteration."""
    loop, (unit, done, length) = runner.train_loop, get_length(runner)
    is_within_epoch = (
        unit == 'epoch' and isinstance(loop, ResumableLoop) and loop.batch_sampler.num_done > 0
    )
    if runner.val_loop is None or is_within_epoch or done < max(loop.val_begin, 1):
        return False
    interval = loop.dynamic_intervals[bisect(loop.dynamic_milestones, done + 1) - 1]
    return done % interval == 0 or done == length


def simplify(value: Any) -> Any:
    """Convert NumPy and mmengine objects to tensors and built-in types.

    Drop functions, which OneCycleLR saves.
    """
    if isinstance(value, HistoryBuffer):
        history, counts = (torch.from_numpy(np.array(array, float)) for array in value.data)
        return {'history': history, 'counts': counts, 'max_length': value.max_length}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: simplify(item) for key, item in value.items() if not callable(item)}
    if isinstance(value, list | tuple):
        return (
            type(value)(map(simplify, value))
            if type(value) in (list, tuple)
            else list(map(simplify, value))
        )
    return value
