"""Recompute the LR schedule of a resumed run whose settings have changed."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from ...checkpoints.grids import SETTINGS
from ...host.config import iter_settings
from ...host.runners import log_warning
from ..loop_progress import get_progress
from .checkpoint import get_resumed_checkpoint
from .exact_resume import get_plain_settings

ABSENT = '(none)'  # the text of a missing value
MAX_LENGTH = 60  # of the text of a value
# Prefixes of the settings that decide the LR schedule.
SCHEDULE_SETTINGS = (
    'train_cfg.max_',
    'param_scheduler',
    'optim_wrapper.optimizer.lr',
    'auto_scale_lr',
)


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
    schedulers: Sequence[Any], num_iterations: int, num_epochs: int, epoch_length: int
) -> None:
    """Step new LR schedulers as often as they have been in ``num_iterations`` of a run.

    mmengine's schedulers compute each LR from the one before, by a product or a sum. Formulas of
    the iteration give other last bits (LinearLR, CosineAnnealingLR and PolyLR at 95% of 1,000
    iterations), with which a run would not end as one that had this schedule from its start. The
    100,000 steps of two schedulers and 4 groups of parameters take 2 s (Intel Xeon, 1 December
    2026).

    Args:
        schedulers: mmengine's schedulers of one optimizer.
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
