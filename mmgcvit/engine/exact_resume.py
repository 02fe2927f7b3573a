"""Gradients of a step of the optimizer that is not complete when a checkpoint is saved.

Where gradients of several iterations are added up, epochs and intervals of checkpoints need not end with a step.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from mmengine.dist import all_gather_object, gather, get_rank, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochBasedTrainLoop
from torch import Tensor

from ..checkpoints import CheckpointError
from ..checkpoints.resuming import RUN, check_resumable
from ..hosts.mmengine import plain_model
from ..hosts.registry import HOOKS
from .batch import Batch, batch_of
from .loops import EpochBasedTrainLoop, IterBasedTrainLoop

Gradients = dict[str, Tensor]


def is_within_a_step(runner: Any) -> bool:
    """Whether gradients wait for more of them. A model that is shared out keeps its own, which are not seen here."""
    wrapper = runner.optim_wrapper
    return isinstance(wrapper, OptimWrapper) and not hasattr(runner, 'strategy') and not wrapper.should_update()


def is_saved_now(runner: Any) -> bool:
    """Whether a checkpoint hook that counts iterations saves after this one."""
    hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook) and not hook.by_epoch]
    return any(
        hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
        or (hook.save_last and hook.is_last_train_iter(runner))
        for hook in hooks
    )


def is_saved_after_epoch(runner: Any) -> bool:
    """Whether a checkpoint hook that counts epochs saves after this one."""
    hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook) and hook.by_epoch]
    return any(
        hook.every_n_epochs(runner, hook.interval, hook.save_begin)
        or (hook.save_last and hook.is_last_train_epoch(runner))
        for hook in hooks
    )


def may_be_the_best(runner: Any) -> bool:
    """Whether a validation may save: the last checkpoint once more, when it names a new best one."""
    return any(isinstance(hook, CheckpointHook) and hook.save_best for hook in runner.hooks)


def gather_gradients(runner: Any) -> list[Gradients]:
    """The gradients of each process, by rank, on the CPU; nothing on other ranks than 0. All processes call it.

    One parameter after the other: all at once would take the memory of process 0's device.
    """
    parameters = dict(plain_model(runner).named_parameters())
    own = [name for name, parameter in parameters.items() if parameter.grad is not None]
    # A process may have none for a part of the model that its images did not need.
    names = dict.fromkeys(name for names in all_gather_object(own) for name in names)
    everyones: list[Gradients] = [{} for _ in range(get_world_size())]
    for name in names:
        gradient = parameters[name].grad
        sent = torch.zeros_like(parameters[name]) if gradient is None else gradient
        for gradients, received in zip(everyones, gather(sent.detach().contiguous()), strict=False):
            gradients[name] = received.cpu().clone()
    return everyones if get_rank() == 0 else []


def restore_gradients(runner: Any, gradients: Gradients) -> None:
    """Give a model's parameters the gradients that were saved of this process."""
    for name, parameter in plain_model(runner).named_parameters():
        if name in gradients:
            parameter.grad = gradients[name].to(parameter.device, parameter.dtype)


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


class ResumeCheckHook(Hook):
    """Refuses, before anything of it is taken over, a checkpoint that a run cannot resume from.

    ``tools/train.py`` registers it. With FSDP, where each process has a share of the optimizer, the optimizer's state
    is left to torch's own checks.

    Args:
        source: The checkpoint, for messages.
    """

    priority = 'VERY_HIGH'

    def __init__(self, source: str) -> None:
        self.source = source

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        wrapper = runner.optim_wrapper
        is_whole = isinstance(wrapper, OptimWrapper) and not hasattr(runner, 'strategy')
        check_resumable(
            checkpoint,
            self.source,
            plain_model(runner),
            wrapper.optimizer if is_whole else None,
            runner.param_schedulers if isinstance(runner.param_schedulers, list) else None,
        )
