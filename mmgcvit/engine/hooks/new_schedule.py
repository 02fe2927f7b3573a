"""Recompute the LR schedule of a resumed run if its config has another one."""

import warnings
from operator import attrgetter
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from ..loops import get_length


class NewScheduleHook(Hook):
    """Recompute the LR schedule of a resumed run, as if the run had always had the LR and schedule
    of its config.

    mmengine would restore the LR and schedule of the checkpoint. They are recomputed if the config
    has another number of epochs or iterations, another LR or other LR schedulers, or if batches are
    of other images. Schedules that depend on scores, and those of several optimizers, are restored.
    ``is_changed`` says whether such settings of the config have changed.
    """

    # Run after ExactResumeHook, which compares the settings of the data.
    priority = 'LOWEST'

    def __init__(self, is_changed: bool) -> None:
        self.is_changed = is_changed

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Replace what schedulers have set in the checkpoint by their first values."""
        schedulers = runner.param_schedulers or []
        self.is_changed |= getattr(runner.train_loop, 'has_new_settings', False)
        if not self.is_changed:
            return
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
            initial = [name for name in group if name.startswith('initial_')]
            for name in ('lr', *initial, *(name.removeprefix('initial_') for name in initial)):
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
