"""Train a resumed run for more or fewer epochs or iterations, or with another LR or other LR schedulers."""

import warnings
from copy import deepcopy
from itertools import chain
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from ..loops import get_length


class NewScheduleHook(Hook):
    """Recompute the LR schedule of a resumed run, as if the run had always had the LR and schedule of its config.

    mmengine would restore the LR and schedule of the checkpoint. They are recomputed if the config has another number
    of epochs or iterations, another LR or other LR schedulers, or if a batch has another number of images. Schedules
    that depend on scores, and those of several optimizers, are restored.

    Args:
        param_scheduler: The LR schedulers of the config.
        is_changed: Whether such settings of the config have changed.
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
        if not self.lrs or any(hasattr(scheduler, 'need_val_args') for scheduler in runner.param_schedulers or ()):
            runner.logger.warning('the LR schedule goes on as in the checkpoint, because it cannot be recomputed')
            return
        unit, _, length = get_length(runner)
        # Undo the changes of schedulers, which keep the first values as initial_lr, initial_momentum, ...
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
            by_iter, by_epoch = ([s for s in runner.param_schedulers if s.by_epoch is flag] for flag in (False, True))
            for iteration in range(1, runner.iter + 1):
                # An epoch ends after its last iteration, from which a run may resume.
                epoch, rest = divmod(iteration, len(runner.train_dataloader))
                ends_epoch = rest == 0 and epoch <= runner.epoch
                for scheduler in chain(by_iter, by_epoch if ends_epoch else ()):
                    scheduler.step()
        ends = [s.end for s in runner.param_schedulers if s.by_epoch is (unit == 'epoch')]
        message = f'training goes on until {unit} {length}, with the LR schedule of the config'
        if ends and max(ends) < length:
            message += f'. The schedule ends at {unit} {max(ends)}. From then on, the LR is constant'
        runner.logger.info(message)
