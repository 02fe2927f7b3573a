"""Resume runs: store and restore what mmengine's checkpoints lack.

A run is resumed in this order:

1. ``runs/folder.py`` locks the work dir, and ``work_dir.py`` chooses the checkpoint;
2. ``checkpoints/safe_loading.py`` reads the file once, without running code from it;
3. :class:`ExactResumeHook` rebuilds the log histories and passes the position in the data to
   ``loops.py``;
4. mmengine's ``Runner.resume`` restores weights, optimizer, LR schedulers, epoch and iteration;
5. :class:`NewScheduleHook` logs which settings have changed, and recomputes the LR schedule if its
   settings or the epochs' lengths have;
6. :class:`ExactResumeHook` reruns an interrupted validation;
7. ``loops.py`` continues, even within an epoch, with the random numbers of an uninterrupted run.
"""

import json
import warnings
from bisect import bisect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapperDict, _ParamScheduler
from mmengine.runner import Runner

from ...checkpoints.grids import SETTINGS
from ...errors import CheckpointError
from ...host.config import iter_settings, list_known_keys
from ...host.runners import call_on_rank_0, get_timeout, log_warning
from ...registry import HOOKS
from ...runs.folder import RunFolder
from ..loops import DATA_POSITION, ResumableLoop, format_position, get_progress
from .checkpoint import get_resumed_checkpoint

ABSENT = '(none)'  # the text of a missing value
MAX_LENGTH = 60  # of the text of a value
# Prefixes of the settings that decide the LR schedule.
SCHEDULE_SETTINGS = (
    'train_cfg.max_',
    'param_scheduler',
    'optim_wrapper.optimizer.lr',
    'auto_scale_lr',
)
# The number of iterations whose losses the message hub keeps: more than the averages in logs need.
MAX_HISTORY = 1000


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Let runs resume bit-exactly from checkpoints that ``torch.load`` reads with
    ``weights_only=True``.

    Add the settings and the position in the data of this project's loops to what mmengine saves,
    and convert logs, counters and LR schedulers to tensors and built-in types. A resumed run first
    reruns an interrupted validation. Keep the losses of :data:`MAX_HISTORY` iterations: mmengine
    keeps all, copies them at every update, and saves them.
    """

    # Convert what other hooks have added to a checkpoint, and validate after they have prepared the
    # training.
    priority = 'LOWEST'
    is_training = False

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        meta = checkpoint['meta']
        if isinstance(runner.train_loop, ResumableLoop):
            meta[DATA_POSITION] = runner.train_loop.get_state(meta)
        meta[SETTINGS] = get_plain_settings(runner.cfg)
        for key in checkpoint.keys() & {'meta', 'message_hub', 'param_schedulers'}:
            checkpoint[key] = simplify(checkpoint[key])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        # mmengine also calls this method if load_from is set without resume.
        path = get_resumed_checkpoint(runner)
        if not path:
            return
        is_own_loop = isinstance(runner.train_loop, ResumableLoop)
        missing = [name for name in ('optimizer', 'message_hub') if name not in checkpoint]
        if is_own_loop and DATA_POSITION not in checkpoint.get('meta', {}):
            missing.append(DATA_POSITION)
        if missing:
            raise CheckpointError(
                f'{path} has no {" and no ".join(missing)}, so a run cannot resume from it. To use '
                f'its weights, set load_from={path}, and resume nothing',
                arguments=['cfg_options', 'resume'],
            )
        logs = checkpoint['message_hub'].get('log_scalars', {})
        for name, log in logs.items():
            if isinstance(log, dict):  # which simplify has made of a HistoryBuffer
                logs[name] = HistoryBuffer(
                    log['history'].tolist(), log['counts'].tolist(), log['max_length']
                )
        if is_own_loop:
            # mmengine continues at this iteration.
            checkpoint['meta']['iter'] = runner.train_loop.resume(checkpoint['meta'])

    def before_train(self, runner: Runner) -> None:
        self.is_training = True
        timeout = get_timeout(runner.cfg)
        if call_on_rank_0(is_validation_missing, runner, timeout=timeout):
            runner.logger.info(
                f'the validation of {format_position(runner)} is missing, so it comes first'
            )
            runner.val_loop.run()

    def after_train_iter(self, runner: Runner, **kwargs: Any) -> None:
        windows = [log.get('window_size') for log in runner.log_processor.custom_cfg]
        if 'epoch' in windows or 'global' in windows:
            return
        for name, history in runner.message_hub.log_scalars.items():
            if name.startswith('train/'):
                history.max_length = MAX_HISTORY

    @master_only
    def after_val_epoch(self, runner: Runner, **kwargs: Any) -> None:
        if self.is_training:
            RunFolder(Path(runner.work_dir)).write_validated(format_position(runner))


def is_validation_missing(runner: Runner) -> bool:
    """Return whether the run that is resumed was interrupted in a validation."""
    path = get_resumed_checkpoint(runner)
    if not path or not is_validation_due(runner):
        return False
    # The run may continue in another folder than the checkpoint's.
    return not RunFolder(path.parent).is_validated(format_position(runner))


def is_validation_due(runner: Runner) -> bool:
    """Return whether mmengine's loop would have validated at the current epoch or iteration."""
    loop = runner.train_loop
    progress = get_progress(runner)
    done = progress.done
    if not runner.val_loop or done < max(loop.val_begin, 1):
        return False
    is_by_epoch = progress.unit == 'epoch'
    if is_by_epoch and isinstance(loop, ResumableLoop) and loop.position.num_done:
        return False  # within an epoch
    interval = loop.dynamic_intervals[bisect(loop.dynamic_milestones, done + 1) - 1]
    return done % interval == 0 or done == progress.planned


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
    if isinstance(value, tuple):
        return tuple(map(simplify, value))
    if isinstance(value, list):
        return list(map(simplify, value))
    return value


class NewScheduleHook(Hook):
    """Log which settings of a resumed run have changed, and recompute its LR schedule, as if the
    run had always had the LR and schedule of its config.

    mmengine would restore the LR and schedule of the checkpoint. They are recomputed if the config
    has another number of epochs or iterations, another LR or other LR schedulers, or if batches are
    of other images. Schedules that depend on scores, and those of several optimizers, are restored.
    """

    # Run after ExactResumeHook, which compares the settings of the data.
    priority = 'LOWEST'
    is_changed = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Replace what schedulers have set in the checkpoint by their first values."""
        if not get_resumed_checkpoint(runner):
            return
        changes = log_changes(runner.cfg, checkpoint['meta'])
        self.is_changed = any(change.startswith(SCHEDULE_SETTINGS) for change in changes)
        self.is_changed |= getattr(runner.train_loop, 'has_new_settings', False)
        if not self.is_changed:
            return
        schedulers = runner.param_schedulers or []
        needs_scores = any(hasattr(scheduler, 'need_val_args') for scheduler in schedulers)
        if needs_scores or isinstance(runner.optim_wrapper, OptimWrapperDict):
            self.is_changed = False
            runner.logger.warning(
                'the LR schedule goes on as in the checkpoint, because it cannot be recomputed'
            )
            return
        checkpoint.pop('param_schedulers', None)
        state = checkpoint['optimizer']
        saved_groups = [*state['param_groups'], state.get('base_param_settings', {})]
        for saved, group in zip(saved_groups, runner.optim_wrapper.param_groups, strict=False):
            for name in group:
                if name == 'lr' or name.startswith('initial_') or f'initial_{name}' in group:
                    saved[name] = group[name]

    def before_train(self, runner: Runner) -> None:
        if not self.is_changed:
            return
        step_schedulers(
            runner.param_schedulers or [],
            num_iterations=runner.iter,
            num_epochs=runner.epoch,
            epoch_length=len(runner.train_dataloader),
        )
        progress = get_progress(runner)
        end = f'{progress.unit} {progress.planned}'
        runner.logger.info(f'training goes on until {end}, with the LR and schedule of the config')


def step_schedulers(
    schedulers: Sequence[_ParamScheduler], num_iterations: int, num_epochs: int, epoch_length: int
) -> None:
    """Step new LR schedulers as often as they have been in ``num_iterations`` of a run.

    mmengine's schedulers compute each LR from the one before, by a product or a sum. Formulas of
    the iteration give other last bits (LinearLR, CosineAnnealingLR and PolyLR at 95% of 1,000
    iterations), with which a run would not end as one that had this schedule from its start. The
    100,000 steps of two schedulers and 4 groups of parameters take 2 s (Intel Xeon, 1 December
    2026).

    Args:
        schedulers: Those of one optimizer.
        num_iterations: The iterations that are done.
        num_epochs: The epochs that are done, 0 in an iteration-based run. An epoch ends after its
            last iteration, from which a run may resume.
        epoch_length: The iterations of an epoch.
    """
    by_iteration = [scheduler for scheduler in schedulers if not scheduler.by_epoch]
    by_epoch = [scheduler for scheduler in schedulers if scheduler.by_epoch]
    with warnings.catch_warnings():
        # mmengine warns if schedulers step before the optimizer does.
        warnings.simplefilter('ignore', UserWarning)
        for iteration in range(1, num_iterations + 1):
            for scheduler in by_iteration:
                scheduler.step()
            epoch, rest = divmod(iteration, epoch_length)
            if rest == 0 and epoch <= num_epochs:
                for scheduler in by_epoch:
                    scheduler.step()


def get_plain_settings(cfg: Config) -> dict[str, Any]:
    """Return a config's settings, without its variables, in types of JSON, as checkpoints store
    them.
    """
    known_keys = list_known_keys()
    settings = {name: value for name, value in cfg.to_dict().items() if name in known_keys}
    # mmengine's Runner copies data_preprocessor into the model. Move it, to compare configs.
    if isinstance(settings.get('model'), dict) and 'data_preprocessor' in settings:
        settings['model'].setdefault('data_preprocessor', settings.pop('data_preprocessor'))
    return json.loads(
        json.dumps(settings, default=lambda value: getattr(value, '__name__', str(value)))
    )


def log_changes(cfg: Config, meta: Mapping[str, Any]) -> list[str]:
    """Log the settings that differ from those in a checkpoint's ``meta``.

    Return ``name: old -> new`` for each, with its dotted name.
    """
    if SETTINGS not in meta:  # of another program
        return []
    old = flatten(meta[SETTINGS])
    new = flatten(get_plain_settings(cfg))
    changes = []
    for name in {**old, **new}:
        before = old.get(name, ABSENT)
        after = new.get(name, ABSENT)
        # To resume a run sets load_from and resume.
        if before != after and name not in ('load_from', 'resume'):
            changes.append(f'{name}: {before:.{MAX_LENGTH}} -> {after:.{MAX_LENGTH}}')
    if changes:
        lines = '\n  '.join(changes)
        log_warning(f'resumed with other settings:\n  {lines}')
    return changes


def flatten(settings: Any) -> dict[str, str]:
    """Return the settings of a nested config, but for the dicts and lists around them, as text by
    dotted name.
    """
    return {
        name.removeprefix('.'): repr(value)
        for name, value in iter_settings(settings, '')
        if not any(iter_settings(value, ''))
    }
