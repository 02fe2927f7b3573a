"""How many images a run takes for one step of its optimizer, and the learning rate that follows from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper

from ..checkpoints import CheckpointError


@dataclass(frozen=True)
class Batch:
    """The images of one step of the optimizer."""

    # On all nodes together.
    processes: int
    # Of each process in an iteration.
    images: int
    # Iterations whose gradients are added up.
    accumulated: int

    def __str__(self) -> str:
        total = self.processes * self.images * self.accumulated
        return f'{total} ({self.processes} processes x {self.images} images x {self.accumulated} accumulated)'

    @property
    def of_iteration(self) -> int:
        """Images of an iteration, of all processes."""
        return self.processes * self.images


def batch_of(runner: Any) -> Batch | None:
    """The batch that a runner trains with; None where its loader does not say how many images it gives at a time."""
    images = getattr(runner.train_loop.dataloader.batch_sampler, 'batch_size', None)
    if isinstance(images, Sequence):  # of each of several data sets
        images = sum(images)
    return None if images is None else Batch(get_world_size(), images, accumulated(runner.cfg))


def accumulated(cfg: ConfigDict) -> int:
    """Batches whose gradients are added up for one step."""
    return (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)


def other_batch_size(cfg: Config, recipe: Config, processes: int) -> str | None:
    """What to say where a run's batch is not its recipe's, as its file has it, and its learning rate is not scaled.

    ``auto_scale_lr.base_batch_size`` goes with the number of accumulated batches of the same source, the file or the
    options, as mmengine scales. None where the batch is the recipe's, or nothing is known of it, or mmengine scales.
    """
    scaling = cfg.get('auto_scale_lr') or {}
    base, images = scaling.get('base_batch_size'), (cfg.get('train_dataloader') or {}).get('batch_size')
    if scaling.get('enable') or base is None or images is None:
        return None
    states_its_own = base != (recipe.get('auto_scale_lr') or {}).get('base_batch_size')
    counts = accumulated(cfg)
    total, meant = processes * images * counts, base * accumulated(cfg if states_its_own else recipe)
    if total == meant:
        return None
    return (
        f'The learning rate was made for {meant} images a step, and this run has {total}: {processes} processes x '
        f'{images} images x {counts} accumulated. --auto-scale-lr scales it; train_dataloader.batch_size and '
        'optim_wrapper.accumulative_counts change the number of images'
    )


def is_whole(runner: Any) -> bool:
    """Whether one optimizer of a runner's is to be seen here; a model that is shared out keeps its own."""
    return isinstance(runner.optim_wrapper, OptimWrapper) and not hasattr(runner, 'strategy')


def follow_batch(
    runner: Any,
    checkpoint: dict[str, Any],
    theirs: Batch,
    ours: Batch,
    accept: Callable[[str], None] | None = None,
    other_schedules: bool = False,
) -> None:
    """Go on with the images of a step that the checkpoint was trained with, or with a learning rate that follows.

    With others where there is an ``accept``, which is told of them, and by the run's own schedules where these are
    ``other_schedules``.
    """
    can_follow = scales_rate(runner) and theirs.accumulated == ours.accumulated
    is_same = theirs.of_iteration == ours.of_iteration and theirs.accumulated == ours.accumulated
    if not is_same and not can_follow:
        if accept is None:
            raise CheckpointError(
                f'the checkpoint was trained with {theirs} images in a step, and the run has {ours}: resume with the '
                'same numbers of images in an iteration and of accumulated ones (train_dataloader.batch_size, '
                'optim_wrapper.accumulative_counts), or with the same accumulated ones and --auto-scale-lr, or with '
                'these and --resume-with-changes, or start anew from its weights (load_from)'
            )
        accept(f'images in a step: {theirs} → {ours}')
    follows = can_follow and (not is_same or has_other_rates(checkpoint, runner))
    if 'optimizer' in checkpoint and (follows or other_schedules or not is_same):
        restate_schedules(checkpoint, runner)
        rate = checkpoint['optimizer']['param_groups'][0]['lr']
        print_log(
            f"the schedules are those of this run's config and batches from iteration {checkpoint['meta']['iter']} on, "
            f'the learning rate {rate:.4g}',
            'current',
        )


def scales_rate(runner: Any) -> bool:
    """Whether a runner scales its learning rate, and leaves schedules and optimizer to be seen here."""
    return is_whole(runner) and (runner.cfg.get('auto_scale_lr') or {}).get('enable', False)


def has_other_rates(checkpoint: Mapping[str, Any], runner: Any) -> bool:
    """Whether a checkpoint's schedules begin at other learning rates than the runner's, which are not begun."""
    groups = checkpoint['optimizer']['param_groups'], runner.optim_wrapper.optimizer.param_groups
    theirs, ours = ([group.get('initial_lr', group['lr']) for group in part] for part in groups)
    return theirs != ours


def restate_schedules(checkpoint: dict[str, Any], runner: Any) -> None:
    """Put the runner's own schedules, not begun, in the place of a checkpoint's, stepped to where that was saved.

    Changes ``param_schedulers`` and, in the optimizer's groups, the settings.
    """
    schedules, theirs = runner.param_schedulers or [], checkpoint['optimizer']
    if any(getattr(schedule, 'need_val_args', False) for schedule in schedules):
        raise CheckpointError(
            'the learning rate cannot be scaled in a resumed run where a schedule follows scores '
            '(ReduceOnPlateauParamScheduler); resume with as many images in a batch as before'
        )
    for iteration in range(1, min(checkpoint['meta']['iter'], runner.max_iters) + 1):
        epoch, within = divmod(iteration, len(runner.train_loop.dataloader))
        # The last epoch may be saved before its end is told to schedules.
        ends_epoch = within == 0 and epoch <= checkpoint['meta']['epoch']
        for schedule in schedules:
            if ends_epoch or not schedule.by_epoch:
                schedule.step()
    checkpoint['param_schedulers'] = [schedule.state_dict() for schedule in schedules]
    ours = runner.optim_wrapper.state_dict()
    pairs = list(zip(theirs['param_groups'], ours['param_groups'], strict=True))
    if 'base_param_settings' in theirs:
        pairs.append((theirs['base_param_settings'], ours['base_param_settings']))
    for one, own in pairs:
        one |= {name: value for name, value in own.items() if name != 'params'}
