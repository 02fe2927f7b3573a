"""A resumed run is the run: it ends with the numbers of one that was never interrupted, to the last bit.

Its loops draw by iteration (:mod:`.loops`). What else a run needs of its past, the hook saves with every checkpoint, as
tensors and plain values, which any reader takes as data.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce_params, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochBasedTrainLoop
from torch import Tensor

from ..checkpoints import CheckpointError
from ..checkpoints.resuming import RUN, check_resumable
from ..errors import printable
from ..hosts.mmengine import plain_model
from ..hosts.optimizers import follow_groups
from ..registry import HOOKS
from .batch import Batch, batch_of, follow_batch, has_other_rates, is_whole, scales_rate
from .changes import NO_CHANGES, RESUMED_WITH, Changes, in_a_line
from .loops import EpochBasedTrainLoop, IterBasedTrainLoop

# Of gradients that processes exchange, which take their memory once more meanwhile.
MEGABYTES_AT_ONCE = 25


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Saves the seed, the batch and gradients of an unfinished step with every checkpoint, and goes on from them.

    Order and random draws follow from seed and iteration where ``train_cfg.type`` is ``mmgcvit.EpochBasedTrainLoop`` or
    ``mmgcvit.IterBasedTrainLoop``; other loops begin them anew, which is said. Gradients of an unfinished step, where
    several iterations are added up, are saved of one process; of several by ``mmgcvit.WholeCheckpointHook``, which has
    all of them go on from their mean: it is what DDP steps with in the end, and is held once.

    Raises:
        CheckpointError: A run is to be resumed with other images in a step, and its learning rate does not follow.
    """

    # Before the hooks that save and those that draw.
    priority = 'HIGH'

    def __init__(self) -> None:
        # Of several processes only their mean, which they make together before one of them saves.
        self.gradients: dict[str, Tensor] = {}

    def before_save_in_all(self, runner: Any) -> None:
        """Have all processes hold the same gradients, before one is asked to save."""
        self.gradients = mean_gradients(runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        for part in ('meta', 'message_hub', 'param_schedulers'):
            if part in checkpoint:
                checkpoint[part] = plain(checkpoint[part])
        gradients = self.gradients if get_world_size() > 1 else mean_gradients(runner)
        self.gradients = {}
        batch = batch_of(runner)
        if batch is not None:
            checkpoint[RUN] = {
                'seed': runner.train_loop.batches.seed if is_exact(runner) else runner.seed,
                **asdict(batch),
                'epoch_length': len(runner.train_loop.dataloader),
                # What is saved without its optimizer is not gone on from.
                'gradients': {n: g.cpu() for n, g in gradients.items()} if 'optimizer' in checkpoint else {},
            }

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        # mmengine keeps it to itself whether a checkpoint is loaded to be resumed.
        if not runner._resume:
            return
        # ResumeCheckHook has done both, where there is one.
        restore_histories(checkpoint.get('message_hub'))
        follow_groups(checkpoint, plain_model(runner), runner.optim_wrapper)
        if not is_exact(runner):
            warn(
                f"train_cfg.type is a host's {type(runner.train_loop).__name__}: the resumed run repeats random draws; "
                'mmgcvit.EpochBasedTrainLoop and mmgcvit.IterBasedTrainLoop continue them'
            )
        if RUN in checkpoint and batch_of(runner) is not None:
            go_on(runner, checkpoint, checkpoint[RUN])
            return
        if scales_rate(runner) and 'optimizer' in checkpoint and has_other_rates(checkpoint, runner):
            raise CheckpointError(
                'the checkpoint does not say of how many images its batches were (it was saved without '
                'mmgcvit.ExactResumeHook), so that its learning rate cannot be scaled: resume it as it was trained, '
                'without --auto-scale-lr, or start anew from its weights (load_from)'
            )
        warn(
            'The checkpoint says nothing of its batch and of the seed of its order (it was saved without '
            'mmgcvit.ExactResumeHook): the run goes on with random draws of its own'
        )


def warn(text: str) -> None:
    print_log(text, 'current', logging.WARNING)


def is_exact(runner: Any) -> bool:
    """Whether a runner's training loop draws by iteration."""
    return isinstance(runner.train_loop, EpochBasedTrainLoop | IterBasedTrainLoop)


def mean_gradients(runner: Any) -> dict[str, Tensor]:
    """The gradients of a step that is not complete, which become the mean of all processes', in place.

    All processes call it. What they then add, DDP averages with the mean of means, the mean itself.
    """
    if not is_whole(runner) or runner.optim_wrapper.should_update():
        return {}
    parameters = dict(plain_model(runner).named_parameters())
    own = [name for name, parameter in parameters.items() if parameter.grad is not None]
    # A process may have none for a part of the model that its images did not need.
    names = list(dict.fromkeys(name for names in all_gather_object(own) for name in names))
    for parameter in map(parameters.get, names):
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = {name: parameters[name].grad for name in names}
    all_reduce_params(gradients.values(), bucket_size_mb=MEGABYTES_AT_ONCE, op='mean')
    return gradients


def plain(value: Any) -> Any:
    """A value without classes of NumPy's and mmengine's, and without functions.

    mmengine's OneCycleLR saves one in its state, which its config gives it anyway.
    """
    if isinstance(value, HistoryBuffer):
        history, counts = (torch.from_numpy(np.array(part, float)) for part in value.data)
        return {'history': history, 'counts': counts, 'max_length': value.max_length}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items() if not callable(inner)}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value] if isinstance(value, list) else tuple(map(plain, value))
    return value


def restore_histories(hub: Any) -> None:
    """Make what :func:`plain` has made of logs what mmengine keeps; what is no log stays, to be refused."""
    logs = hub.get('log_scalars') if isinstance(hub, dict) else None
    for name, log in logs.items() if isinstance(logs, dict) else ():
        parts = map(log.get, ('history', 'counts', 'max_length')) if isinstance(log, dict) else [None] * 3
        history, counts, length = parts
        are_lists = all(isinstance(part, Tensor) and part.ndim == 1 for part in (history, counts))
        if are_lists and len(history) == len(counts) and type(length) is int and length > 0:
            logs[name] = HistoryBuffer(history.tolist(), counts.tolist(), length)


def go_on(runner: Any, checkpoint: dict[str, Any], run: dict[str, Any]) -> None:
    """Have a runner go on with the run that a checkpoint tells of."""
    theirs, ours = Batch(*(run[name] for name in Batch.__annotations__)), batch_of(runner)
    if is_exact(runner):
        runner.train_loop.batches.take_seed(run['seed'])
    recount(runner, checkpoint['meta'], run['epoch_length'])
    check = next((hook for hook in runner.hooks if isinstance(hook, ResumeCheckHook)), None)
    changes = check.changes if check else NO_CHANGES
    follow_batch(runner, checkpoint, theirs, ours, check.accept if changes.is_free else None, changes.schedules)
    if theirs.processes != ours.processes:
        warn(
            f'{theirs.processes} processes saved the checkpoint and {ours.processes} go on: they draw other random '
            'numbers, and where images are batched by their shapes, other batches; of an epoch that is resumed in its '
            'middle some images then come twice and others not'
        )
    gradients = run['gradients']
    if gradients and (theirs.of_iteration, theirs.accumulated) == (ours.of_iteration, ours.accumulated):
        for name, parameter in plain_model(runner).named_parameters():
            if name in gradients:
                parameter.grad = gradients[name].to(parameter.device, parameter.dtype, copy=True)
        print_log('The gradients of the unfinished step are restored, whatever is said of their loss', 'current')


def recount(runner: Any, meta: dict[str, Any], their_epoch_length: int) -> None:
    """Count a checkpoint's iterations in the batches of the run's epochs, where these are the measure."""
    if not isinstance(runner.train_loop, MMEngineEpochBasedTrainLoop):
        return
    if abs(meta['iter'] / their_epoch_length - meta['epoch']) > 1:
        raise CheckpointError(
            f'the checkpoint counts iterations ({meta["iter"]}, of {their_epoch_length} in an epoch, and '
            f'{meta["epoch"]} epochs), and the run has a loop over epochs, which would train them once more: '
            'resume it with the loop that it was trained by (train_cfg.type), or start anew from its weights '
            '(load_from)'
        )
    meta['iter'] = round(meta['iter'] * len(runner.train_loop.dataloader) / their_epoch_length)


class ResumeCheckHook(Hook):
    """Refuses, before anything of it is taken over, a checkpoint (``source``) that a run cannot resume from.

    And writes down what the run has otherwise than the checkpoint's (``changes``), into the log, and what of that was
    accepted into the checkpoints. Training registers it. With FSDP, where each process has a share of the optimizer,
    the optimizer's state is left to torch's own checks.
    """

    priority = 'VERY_HIGH'

    def __init__(self, source: str, changes: Changes = NO_CHANGES) -> None:
        self.source, self.changes = source, changes
        # One line for each change that the user has accepted, and where it took effect.
        self.history: list[str] = []
        self.moment = ''

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        restore_histories(checkpoint.get('message_hub'))
        follow_groups(checkpoint, plain_model(runner), runner.optim_wrapper)
        optimizer = runner.optim_wrapper.optimizer if is_whole(runner) else None
        # Where they are the run's own, the checkpoint's are not loaded.
        are_loaded = isinstance(runner.param_schedulers, list) and not self.changes.schedules
        schedules = runner.param_schedulers if are_loaded else None
        check_resumable(checkpoint, self.source, plain_model(runner), optimizer, schedules)
        if self.changes.schedules and not (is_whole(runner) and RUN in checkpoint):
            raise CheckpointError(
                f'{self.source}: a resumed run takes other schedules and optimizer settings only where one process has '
                'the whole optimizer and the checkpoint was saved with mmgcvit.ExactResumeHook; set them as they were, '
                'or start anew from its weights (load_from)'
            )
        self.write_down(checkpoint['meta'])
        if RUN in checkpoint:
            self.check_length(runner, checkpoint[RUN])

    def write_down(self, meta: dict[str, Any]) -> None:
        """Log what differs, and keep what was accepted for the checkpoints, behind what earlier ones say."""
        lines = meta.get(RESUMED_WITH)
        self.history = [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []
        for line in self.history:
            print_log(printable(f'resumed before with other settings: {line}'), 'current')
        self.moment = f'epoch {meta["epoch"]}, iteration {meta["iter"]}'
        if self.changes.harmless:
            print_log(f'resumed, settings that were otherwise: {in_a_line(self.changes.harmless)}', 'current')
        if self.changes.accepted:
            self.accept(in_a_line(self.changes.accepted))
        if self.changes.is_free and self.changes.not_compared:
            self.accept(f'{self.changes.not_compared}: not compared')

    def accept(self, change: str) -> None:
        """Write down what only ``--resume-with-changes`` lets through."""
        line = printable(f'{self.moment}: {change}')
        warn(f'resumed with other settings (--resume-with-changes): {line}')
        self.history.append(line)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        if self.history:
            checkpoint['meta'][RESUMED_WITH] = list(self.history)

    def check_length(self, runner: Any, run: dict[str, Any]) -> None:
        """Refuse a data set of another size: as many images in an iteration, and other iterations an epoch."""
        ours, length = batch_of(runner), len(runner.train_loop.dataloader)
        is_same = ours is not None and (ours.processes, ours.images) == (run['processes'], run['images'])
        if not is_same or length == run['epoch_length']:
            return
        if self.changes.is_free:
            self.accept(f'iterations an epoch: {run["epoch_length"]} → {length}')
            return
        raise CheckpointError(
            f"the checkpoint's training images make {run['epoch_length']} iterations an epoch, and the run's {length}: "
            'resume it with the same data set, or go on with this one with --resume-with-changes, or start anew from '
            'its weights (load_from)'
        )
