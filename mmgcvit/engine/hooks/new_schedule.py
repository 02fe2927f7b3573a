"""Recompute the LR schedule of a resumed run if its config has another one."""

import warnings
from copy import deepcopy
from operator import attrgetter

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from ..loops import get_length


class NewScheduleHook(Hook):
    """Recompute the LR schedule of a resumed run, as if the run had always had the LR and schedule
    of its config.

    mmengine would restore the LR and schedule of the checkpoint. They are recomputed if the config
    has another number of epochs or iterations, another LR or other LR schedulers, or if batches are of
    other images. Schedules that depend on scores, and those of several optimizers, are
    restored. ``is_changed`` says whether such settings of the config have changed.
    """

    def __init__(self, is_changed: bool) -> None:
        self.is_changed = is_changed

    def before_run(self, runner: Runner) -> None:
        """Copy the first values and states that the schedulers have set: the checkpoint's replace
        them next.
        """
        schedulers = runner.param_schedulers or []
        self.can_recompute = not isinstance(runner.optim_wrapper, OptimWrapperDict) and not any(
            hasattr(scheduler, 'need_val_args') for scheduler in schedulers
        )
        if not self.can_recompute:
            return
        self.states = [deepcopy(scheduler.state_dict()) for scheduler in schedulers]
        self.groups = []
        for group in runner.optim_wrapper.param_groups:
            first = {name: x for name, x in group.items() if name.startswith('initial_')}
            scheduled = ['lr', *(name.removeprefix('initial_') for name in first)]
            self.groups.append(first | {name: group[name] for name in scheduled})

    def before_train(self, runner: Runner) -> None:
        if not self.is_changed and not getattr(runner.train_loop, 'has_new_settings', False):
            return
        if not self.can_recompute:
            runner.logger.warning(
                'the LR schedule goes on as in the checkpoint, because it cannot be recomputed'
            )
            return
        schedulers = runner.param_schedulers or []
        for group, first in zip(runner.optim_wrapper.param_groups, self.groups, strict=True):
            group.update(first)
        for scheduler, state in zip(schedulers, self.states, strict=True):
            scheduler.load_state_dict(state)
        with warnings.catch_warnings():
            # mmengine warns if schedulers step before the optimizer does.
            warnings.simplefilter('ignore', UserWarning)
            for iteration in range(1, runner.iter + 1):
                # An epoch ends after its last iteration, from which a run may resume.
                epoch, rest = divmod(iteration, len(runner.train_dataloader))
                ends_epoch = rest == 0 and epoch <= runner.epoch
                # Those by epoch step after those by iteration.
                for scheduler in sorted(schedulers, key=attrgetter('by_epoch')):
                    if ends_epoch or not scheduler.by_epoch:
                        scheduler.step()
        unit, _, length = get_length(runner)
        end = f'{unit} {length}'
        runner.logger.info(f'training goes on until {end}, with the LR and schedule of the config')
