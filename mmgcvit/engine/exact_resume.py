"""What a checkpoint says of a run so that a resumed one is that run, beside what mmengine saves."""

import logging
from dataclasses import asdict
from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochBasedTrainLoop

from ..checkpoints import CheckpointError
from ..checkpoints.resuming import RUN
from ..registry import HOOKS
from .batch import Batch, batch_of
from .half_steps import (
    gather_gradients,
    is_saved_after_epoch,
    is_saved_now,
    is_within_a_step,
    may_be_the_best,
    restore_gradients,
)
from .loops import EpochBasedTrainLoop, IterBasedTrainLoop
from .restated import has_other_rates, restate_schedules


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Saves the seed, the batch and gradients of an unfinished step with every checkpoint, and goes on from them.

    Order and random draws follow from seed and iteration where ``train_cfg.type`` is ``mmgcvit.EpochBasedTrainLoop`` or
    ``mmgcvit.IterBasedTrainLoop``; other loops begin them anew, which is said.

    Raises:
        CheckpointError: A run is to be resumed with other images in a step, and its learning rate does not follow.
    """

    # Before the hooks that save and those that draw.
    priority = 'HIGH'

    def __init__(self) -> None:
        # Of all processes, which only act together, where process 0 will save alone.
        self.gathered: list[dict] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.gathered = []

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if is_saved_now(runner):
            self.gather(runner)

    def after_train_epoch(self, runner: Any) -> None:
        if is_saved_after_epoch(runner):
            self.gather(runner)

    def before_val(self, runner: Any) -> None:
        if may_be_the_best(runner):
            self.gather(runner)

    def gather(self, runner: Any) -> None:
        """Have process 0 hold the gradients of all, before it is asked to save."""
        if is_within_a_step(runner) and not self.gathered:
            self.gathered = gather_gradients(runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        leave_out_functions(checkpoint.get('param_schedulers'))
        batch = batch_of(runner)
        if batch is not None:
            checkpoint[RUN] = {
                'seed': seed_of(runner),
                **asdict(batch),
                'epoch_length': len(runner.train_loop.dataloader),
                # What is saved without its optimizer is not gone on from.
                'gradients': self.gathered if 'optimizer' in checkpoint else [],
            }

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        # mmengine keeps it to itself whether a checkpoint is loaded to be resumed.
        if runner._resume:
            say_what_draws(runner)
            if RUN in checkpoint and batch_of(runner) is not None:
                go_on(runner, checkpoint, checkpoint[RUN])
            else:
                go_on_without_a_word(runner, checkpoint)


def leave_out_functions(states: Any) -> None:
    """Take the functions out of schedulers' states: mmengine's OneCycleLR keeps one, which its config gives it anyway.

    To be removed once mmengine does not save it: no reader that runs no code of a file's can read it.
    """
    for state in [entry for part in states.values() for entry in part] if isinstance(states, dict) else states or []:
        for name in [name for name, value in state.items() if callable(value)]:
            del state[name]


def is_exact(runner: Any) -> bool:
    """Whether a runner's training loop draws by iteration."""
    return isinstance(runner.train_loop, EpochBasedTrainLoop | IterBasedTrainLoop)


def seed_of(runner: Any) -> int:
    """The seed of order and draws."""
    return runner.train_loop.batches.seed if is_exact(runner) else runner.seed


def say_what_draws(runner: Any) -> None:
    """Say it where a loop of a host begins order or draws anew."""
    if not is_exact(runner):
        kind = type(runner.train_loop).__name__
        print_log(
            f"train_cfg.type is a host's {kind}: the resumed run repeats random draws; "
            'mmgcvit.EpochBasedTrainLoop and mmgcvit.IterBasedTrainLoop continue them',
            'current',
            logging.WARNING,
        )


def scales_rate(runner: Any) -> bool:
    """Whether a runner scales its learning rate, and leaves schedules and optimizer to be seen here."""
    scaling = runner.cfg.get('auto_scale_lr') or {}
    is_seen = isinstance(runner.optim_wrapper, OptimWrapper) and not hasattr(runner, 'strategy')
    return is_seen and scaling.get('enable', False)


def go_on_without_a_word(runner: Any, checkpoint: dict[str, Any]) -> None:
    """Have a runner go on from a checkpoint that says nothing of its run.

    Raises:
        CheckpointError: Its learning rate would have to be scaled.
    """
    if scales_rate(runner) and 'optimizer' in checkpoint and has_other_rates(checkpoint, runner):
        raise CheckpointError(
            'the checkpoint does not say of how many images its batches were (it was saved without '
            'mmgcvit.ExactResumeHook), so that its learning rate cannot be scaled: resume it as it was trained, '
            'without --auto-scale-lr, or start anew from its weights (load_from)'
        )
    print_log(
        'The checkpoint says nothing of its batch and of the seed of its order (it was saved without '
        'mmgcvit.ExactResumeHook): the run goes on with random draws of its own',
        'current',
        logging.WARNING,
    )


def go_on(runner: Any, checkpoint: dict[str, Any], run: dict[str, Any]) -> None:
    """Have a runner go on with the run that a checkpoint tells of."""
    theirs, ours = (Batch(*(run[name] for name in Batch.__annotations__)), batch_of(runner))
    if is_exact(runner):
        runner.train_loop.batches.take_seed(run['seed'])
    recount(runner, checkpoint['meta'], run['epoch_length'])
    follow_batch(runner, checkpoint, theirs, ours)
    if theirs.processes != ours.processes:
        print_log(
            f'{theirs.processes} processes saved the checkpoint and {ours.processes} go on: they draw other random '
            'numbers, and where images are batched by their shapes, other batches; of an epoch that is resumed in its '
            'middle some images then come twice and others not',
            'current',
            logging.WARNING,
        )
    elif run['gradients'] and theirs == ours:
        restore_gradients(runner, run['gradients'][get_rank()])
        print_log('The gradients of the unfinished step are restored, whatever is said of their loss', 'current')


def recount(runner: Any, meta: dict[str, Any], their_epoch_length: int) -> None:
    """Count a checkpoint's iterations in the batches of the run's epochs, where these are the measure.

    Raises:
        CheckpointError: The run that saved it did not count epochs, and is past its first.
    """
    if isinstance(runner.train_loop, MMEngineEpochBasedTrainLoop):
        if abs(meta['iter'] / their_epoch_length - meta['epoch']) > 1:
            raise CheckpointError(
                f'the checkpoint counts iterations ({meta["iter"]}, of {their_epoch_length} in an epoch, and '
                f'{meta["epoch"]} epochs), and the run has a loop over epochs, which would train them once more: '
                'resume it with the loop that it was trained by (train_cfg.type), or start anew from its weights '
                '(load_from)'
            )
        meta['iter'] = round(meta['iter'] * len(runner.train_loop.dataloader) / their_epoch_length)


def follow_batch(runner: Any, checkpoint: dict[str, Any], theirs: Batch, ours: Batch) -> None:
    """Go on with the images of a step that the checkpoint was trained with, or with a learning rate that follows.

    Raises:
        CheckpointError: Neither is the case.
    """
    can_follow = scales_rate(runner) and theirs.accumulated == ours.accumulated
    is_same = theirs.of_iteration == ours.of_iteration and theirs.accumulated == ours.accumulated
    if not is_same and not can_follow:
        raise CheckpointError(
            f'the checkpoint was trained with {theirs} images in a step, and the run has {ours}: resume with the same '
            'numbers of images in an iteration and of accumulated ones (train_dataloader.batch_size, '
            'optim_wrapper.accumulative_counts), or with the same accumulated ones and --auto-scale-lr, or start anew '
            'from its weights (load_from)'
        )
    if can_follow and 'optimizer' in checkpoint and (not is_same or has_other_rates(checkpoint, runner)):
        restate_schedules(checkpoint, runner, len(runner.train_loop.dataloader))
        rate = checkpoint['optimizer']['param_groups'][0]['lr']
        print_log(
            f"auto_scale_lr: the schedules are those of this run's batches from iteration {checkpoint['meta']['iter']} "
            f'on, the learning rate {rate:.4g}',
            'current',
        )
