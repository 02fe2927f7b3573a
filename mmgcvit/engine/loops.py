"""mmengine's training loops, resumable at any iteration.

``sampler.py`` seeds the random numbers of each.
"""

import signal
import time
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import is_distributed, is_main_process
from mmengine.runner import BaseLoop, Runner
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochBasedTrainLoop
from mmengine.runner import IterBasedTrainLoop as MMEngineIterBasedTrainLoop
from torch import nn
from torch.utils.data import BatchSampler

from ..errors import UserError
from ..host.private_api import get_randomness, stop_workers
from ..host.runners import ends_step, get_timeout, log_warning
from ..registry import LOOPS
from .hooks.checkpoint import AtomicCheckpointHook
from .interrupts import INTERRUPTS, DataTimeoutError
from .sampler import Position, SeededBatchSampler, seed_generators

# Key of a checkpoint's meta for the position in the data, see ResumableLoop.get_state
DATA_POSITION = 'data_position'


@dataclass(frozen=True)
class LoadedBatch:
    """What a dataloader has returned."""

    batch: Any  # None after the last batch, and if it is late
    is_late: bool = False  # whether a signal was received, and the batch not loaded in time


class ResumableLoop(BaseLoop):
    """Base class of this project's loops, which start at the position in the data that a checkpoint
    stores. Between iterations, they let :class:`.AtomicCheckpointHook` save a checkpoint when it is
    time, and stop at a signal.
    """

    is_by_epoch: bool
    group: dist.ProcessGroup | None = None  # of all ranks, on their CPUs
    # Whether get_settings returns other settings than before the run was resumed
    has_new_settings = False

    def __init__(self, runner: Runner, dataloader: dict[str, Any], **kwargs: Any):
        is_dict = isinstance(dataloader, dict)
        if not (is_dict and dataloader.get('batch_size') and dataloader.get('sampler')):
            raise UserError(
                'train_dataloader is not a dict with a batch_size and a sampler, so training could '
                "not resume within an epoch. Set all three, or mmengine's loop, "
                'train_cfg.type=EpochBasedTrainLoop'
            )
        loader = dataloader.copy()
        default = {'type': BatchSampler, 'drop_last': loader.pop('drop_last', False)}
        loader['batch_sampler'] = {
            'type': SeededBatchSampler,
            'batch_sampler': loader.get('batch_sampler') or default,
            'endless': not self.is_by_epoch,
        }
        super().__init__(runner, loader, **kwargs)
        self.batch_sampler = self.dataloader.batch_sampler
        if len(self.batch_sampler) == 0:
            size = f'{self.batch_sampler.world_size} x {self.batch_sampler.batch_size}'
            raise UserError(
                f'train_dataloader has too few images for one batch of {size} (processes x '
                'batch_size). Use a smaller batch_size, fewer processes or '
                'train_dataloader.drop_last=False'
            )

    def run(self) -> nn.Module:
        """Train, and return the model."""
        if is_distributed():
            timeout = get_timeout(self.runner.cfg)
            self.group = dist.new_group(backend='gloo', timeout=timeout)
        self.runner.call_hook('before_train')
        self.train()
        INTERRUPTS.is_deferred = False
        self.runner.call_hook('after_train')
        return self.runner.model

    @abstractmethod
    def train(self) -> None:
        """Train, and validate in between, until the end."""

    def load_batches(self) -> Iterator[Any]:
        """Load the batches that come next, one by one.

        After each, look whether it is time to save or to stop.
        """
        position = self.batch_sampler.position
        if position is None or position.epoch != self.epoch:
            self.batch_sampler.position = Position(self.seed, self.iter, self.epoch)
        batches = iter(self.dataloader)
        while True:
            loaded = self.load_next(batches)
            # If it is late, there are no data for the next iteration.
            self.save_or_stop(must_stop=loaded.is_late)
            if loaded.batch is None:
                return
            yield loaded.batch

    def load_next(self, batches: Iterator[Any]) -> LoadedBatch:
        """Return the next batch."""
        if self.checkpoint_hook is None:
            return LoadedBatch(next(batches, None))
        try:
            return LoadedBatch(INTERRUPTS.wait_for(lambda: next(batches, None)))
        except (DataTimeoutError, RuntimeError):  # torch's error if workers are dead
            if not INTERRUPTS.received:
                raise
            return LoadedBatch(None, is_late=True)

    @property
    def position(self) -> Position:
        """The position in the data at which this process has started an epoch or the run."""
        assert self.batch_sampler.position is not None
        return self.batch_sampler.position

    @cached_property
    def checkpoint_hook(self) -> AtomicCheckpointHook | None:
        """The hook that can save a checkpoint between iterations, if there is one.

        Without it, a signal ends the run at once.
        """
        for hook in self.runner.hooks:
            if isinstance(hook, AtomicCheckpointHook):
                return hook
        return None

    def save_or_stop(self, must_stop: bool = False) -> None:
        """Between iterations, save a checkpoint if it is time or a rank has received a signal. At a
        signal, raise a KeyboardInterrupt on all ranks.

        All ranks decide together, after each has loaded its next batch and before they train on it,
        by a reduction on the CPU, which does not wait for the GPU. Rank 0's clock counts.
        ``must_stop``, on any rank, stops them also between iterations of one optimizer step, whose
        accumulated gradients are then lost.
        """
        hook = self.checkpoint_hook
        if hook is None:
            return
        is_time = is_main_process() and time.monotonic() >= hook.saved_at + hook.time_interval
        is_time, is_stopping, must_stop = self.agree(is_time, INTERRUPTS.received > 0, must_stop)
        can_save = ends_step(self.runner)
        if can_save and (is_time or is_stopping) and hook.saved_iter != self.iter:
            hook.save_now(self.runner)
        if must_stop or (can_save and is_stopping):
            self.agree(True)  # wait, because launchers kill the other ranks when one ends
            raise KeyboardInterrupt(INTERRUPTS.received or signal.SIGTERM)

    def agree(self, *answers: bool) -> list[bool]:
        """Return which answers are True on any rank."""
        numbers = torch.tensor(answers).int()
        if self.group:
            dist.all_reduce(numbers, dist.ReduceOp.MAX, group=self.group)
        return numbers.bool().tolist()

    def validate_if_due(self, done: int, length: int) -> None:
        """Validate after ``done`` of ``length`` epochs, or iterations in an iteration-based run, if
        the settings say so.

        A signal ends a validation at once, because a resumed run repeats it.
        """
        is_due = done % self.val_interval == 0 or done == length
        if self.runner.val_loop is None or done < self.val_begin or not is_due:
            return
        if INTERRUPTS.is_deferred:
            self.save_or_stop(must_stop=INTERRUPTS.received > 0)
        # Another rank may be in the validation already, and have passed a signal on.
        INTERRUPTS.stop_deferring()
        self.runner.val_loop.run()

    def run_iter(self, *args: Any) -> None:
        seed_generators(self.seed, self.batch_sampler.rank, self.iter)
        super().run_iter(*args)

    @property
    def seed(self) -> int:
        """Return the seed that all ranks share."""
        if get_randomness(self.runner).get('diff_rank_seed'):
            return self.runner.seed - self.batch_sampler.rank  # which mmengine has added
        return self.runner.seed

    def get_settings(self) -> dict[str, int]:
        """Return what decides which images a batch has, besides the position.

        The names are for messages.
        """
        sampler = self.batch_sampler
        return {
            'seed': self.position.seed,
            'images': len(self.dataloader.dataset),
            'processes': sampler.world_size,
            'batch_size': sampler.batch_size,
            'length': len(sampler),
        }

    def get_state(self, meta: dict[str, Any]) -> dict[str, int]:
        """Return the position in the data, for a checkpoint with this ``meta``, and what the order
        depends on.
        """
        position = self.position
        # The number of trained batches of the epoch or, in an iteration-based run, of all.
        num_done = 0
        if meta['epoch'] == position.epoch:
            num_done = position.num_done + meta['iter'] - position.iteration
        return {'num_done': num_done, **self.get_settings()}

    def resume(self, meta: dict[str, Any]) -> int:
        """Start at the position in a checkpoint's ``meta``, with its seed unless the config has
        another one.

        If something that decides which images a batch has is not the same, an epoch starts again,
        and an iteration-based run goes on with other images. The log says why. Return the iteration
        at which the run resumes: in an epoch-based run, epochs end at multiples of their number of
        iterations.
        """
        sampler = self.batch_sampler
        state = meta[DATA_POSITION]
        seed = get_randomness(self.runner).get('seed')
        meta['seed'] = state['seed'] if seed is None else seed  # mmengine sets this seed
        epoch = meta['epoch']  # 0 in an iteration-based run
        sampler.position = Position(meta['seed'], meta['iter'], epoch, state['num_done'])
        changes = [
            f'{name} {state[name]} -> {value}'
            for name, value in self.get_settings().items()
            if state[name] != value
        ]
        if changes:
            self.has_new_settings = True
            effect = 'the data order changes'
            if self.is_by_epoch:
                iteration = epoch * len(sampler)
                sampler.position = Position(meta['seed'], iteration, epoch)
                effect = f'epoch {epoch + 1} starts at iteration {iteration}'
            log_warning(f'{effect}, because settings have changed: {", ".join(changes)}')
        return self.position.iteration


@LOOPS.register_module()
class EpochBasedTrainLoop(ResumableLoop, MMEngineEpochBasedTrainLoop):
    """mmengine's epoch-based loop with the same arguments, resumable at any iteration.

    Raise a UserError if the dataloader has no ``batch_size`` or no sampler, or too few samples for
    one batch.
    """

    is_by_epoch = True

    def train(self) -> None:
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            self.validate_if_due(self._epoch, self._max_epochs)

    def run_epoch(self) -> None:
        # As mmengine, which would not let us load the batches.
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for idx, batch in enumerate(self.load_batches()):
            self.run_iter(self.position.num_done + idx, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


@LOOPS.register_module()
class IterBasedTrainLoop(ResumableLoop, MMEngineIterBasedTrainLoop):
    """mmengine's iteration-based loop, resumable at any iteration.

    See :class:`EpochBasedTrainLoop`.
    """

    is_by_epoch = False

    def run(self) -> nn.Module:
        stop_workers(self.dataloader)  # SignalHook sets worker_init_fn later
        return super().run()

    def train(self) -> None:
        # As mmengine, except that a resumed run loads no batches that it has trained on.
        self.runner.call_hook('before_train_epoch')
        self.dataloader_iterator = self.load_batches()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            self.validate_if_due(self._iter, self._max_iters)
        self.runner.call_hook('after_train_epoch')
