"""Schedules of a run that is resumed with other learning rates than its checkpoint was trained with.

mmengine takes rates and schedules from the checkpoint: what ``auto_scale_lr`` says of the new number of images in a
batch would be logged and not used.
"""

from collections.abc import Mapping
from typing import Any

from ..checkpoints import CheckpointError


def has_other_rates(checkpoint: Mapping[str, Any], runner: Any) -> bool:
    """Whether a checkpoint's schedules begin at other learning rates than the runner's, which are not begun."""
    theirs, ours = checkpoint['optimizer']['param_groups'], runner.optim_wrapper.optimizer.param_groups
    return any(initial(one) != initial(own) for one, own in zip(theirs, ours, strict=True))


def initial(group: Mapping[str, Any]) -> float:
    """The learning rate at which a group of parameters begins."""
    return group.get('initial_lr', group['lr'])


def restate_schedules(checkpoint: dict[str, Any], runner: Any, epoch_length: int) -> None:
    """Put the runner's own schedules in the place of a checkpoint's, stepped to where that was saved.

    Args:
        checkpoint: Changed: ``param_schedulers`` and, in the optimizer's groups, what the schedules set.
        runner: It has its schedules, not begun, in a list.
        epoch_length: Iterations after which schedules by epoch are stepped.

    Raises:
        CheckpointError: A schedule follows scores.
    """
    schedules = runner.param_schedulers or []
    if any(getattr(schedule, 'need_val_args', False) for schedule in schedules):
        raise CheckpointError(
            'the learning rate cannot be scaled in a resumed run where a schedule follows scores '
            '(ReduceOnPlateauParamScheduler); resume with as many images in a batch as before'
        )
    for iteration in range(1, min(checkpoint['meta']['iter'], runner.max_iters) + 1):
        epoch, within = divmod(iteration, epoch_length)
        # The last epoch may be saved before its end is told to schedules.
        ends_epoch = within == 0 and epoch <= checkpoint['meta']['epoch']
        for schedule in schedules:
            if ends_epoch or not schedule.by_epoch:
                schedule.step()
    checkpoint['param_schedulers'] = [schedule.state_dict() for schedule in schedules]
    restate_groups(
        checkpoint['optimizer'], runner.optim_wrapper.state_dict(), {'lr', *(s.param_name for s in schedules)}
    )


def restate_groups(theirs: dict[str, Any], ours: Mapping[str, Any], names: set[str]) -> None:
    """Take the settings of some names from one optimizer's state into another's."""
    pairs = list(zip(theirs['param_groups'], ours['param_groups'], strict=True))
    if 'base_param_settings' in theirs:
        pairs.append((theirs['base_param_settings'], ours['base_param_settings']))
    for one, own in pairs:
        one |= {key: own[key] for name in names for key in (name, f'initial_{name}') if key in own}
