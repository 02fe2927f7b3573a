"""Compare a resumed config with the checkpoint's, and recompute the LR schedule if it has another
one.
"""

import json
import logging
import warnings
from operator import attrgetter
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from ...config import iter_settings, list_known_keys
from ...errors import escape_controls
from ..loops import get_length

SETTINGS = 'settings'  # key of a checkpoint's meta for the run's settings in types of JSON
ABSENT, MAX_LENGTH = '(none)', 60  # the text of a missing value, and the longest one of a value
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

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Replace what schedulers have set in the checkpoint by their first values."""
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
        state, groups = checkpoint['optimizer'], runner.optim_wrapper.param_groups
        saved_groups = [*state['param_groups'], state.get('base_param_settings', {})]
        for saved, group in zip(saved_groups, groups, strict=False):
            for name in group:
                if name == 'lr' or name.startswith('initial_') or f'initial_{name}' in group:
                    saved[name] = group[name]

    def before_train(self, runner: Runner) -> None:
        if not self.is_changed:
            return
        with warnings.catch_warnings():
            # mmengine warns if schedulers step before the optimizer does.
            warnings.simplefilter('ignore', UserWarning)
            for iteration in range(1, runner.iter + 1):
                # An epoch ends after its last iteration, from which a run may resume.
                epoch, rest = divmod(iteration, len(runner.train_dataloader))
                ends_epoch = rest == 0 and epoch <= runner.epoch
                # Those by epoch step after those by iteration.
                for scheduler in sorted(runner.param_schedulers, key=attrgetter('by_epoch')):
                    if ends_epoch or not scheduler.by_epoch:
                        scheduler.step()
        unit, _, length = get_length(runner)
        runner.logger.info(
            f'training goes on until {unit} {length}, with the LR and schedule of the config'
        )


def get_plain_settings(cfg: Config) -> dict[str, Any]:
    """Return a config's settings, without its variables, in types of JSON, as checkpoints store
    them.
    """
    known_keys = list_known_keys()
    settings = {name: value for name, value in cfg.to_dict().items() if name in known_keys}
    # mmengine's Runner copies data_preprocessor into the model. Move it, to compare configs.
    if isinstance(settings.get('model'), dict) and 'data_preprocessor' in settings:
        settings['model'].setdefault('data_preprocessor', settings.pop('data_preprocessor'))
    text = json.dumps(settings, default=lambda value: getattr(value, '__name__', str(value)))
    return json.loads(text)


def log_changes(cfg: Config, meta: Any) -> list[str]:
    """Log the settings that differ from those in a checkpoint's ``meta``.

    Return ``name: old -> new`` for each, with its dotted name.
    """
    if SETTINGS not in meta:  # of another program
        return []
    old, new = flatten(meta[SETTINGS]), flatten(get_plain_settings(cfg))
    changes = []
    for name in {**old, **new}:
        before, after = old.get(name, ABSENT), new.get(name, ABSENT)
        # --resume sets load_from and resume.
        if before != after and name not in ('load_from', 'resume'):
            changes.append(f'{name}: {before:.{MAX_LENGTH}} -> {after:.{MAX_LENGTH}}')
    if changes:
        lines = escape_controls('\n  '.join(changes))
        print_log(f'resumed with other settings:\n  {lines}', 'current', logging.WARNING)
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
