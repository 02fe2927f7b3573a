"""mmengine's training loops, resumable at any iteration.

The run's seed and the iteration determine the random numbers. So checkpoints need no states of
random number generators, and results do not depend on ``num_workers``.
"""

import random
import signal
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import count, islice
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size, is_distributed, is_main_process
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import BaseLoop, Runner
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochBasedTrainLoop
from mmengine.runner import IterBasedTrainLoop as MMEngineIterBasedTrainLoop
from torch import nn
from torch.utils.data import BatchSampler, Sampler

from ..errors import UserError
from ..interrupts import INTERRUPTS, DataTimeoutError
from ..mmengine_utils import ends_step, get_timeout, log_warning
from ..private_api import get_randomness, stop_workers
from ..registry import LOOPS
from .hooks.checkpoint import AtomicCheckpointHook

# Key of a checkpoint's meta for the position in the data, see ResumableLoop.get_state
DATA_POSITION = 'data_position'


def seed_generators(seed: int, rank: int, iteration: int, sample: int = 0) -> None:
    """Seed torch, NumPy and Python, either to load a sample or for the training step.

    A cryptographic hash of the arguments gives independent seeds; NumPy's has 32 bits, since longer
    ones are slow. ``iteration`` is counted from 0, ``sample`` in the batch from 1; 0 stands for the
    training step.
    """
    digest = blake2b(f'{seed} {rank} {iteration} {sample}'.encode(), digest_size=28).digest()
    random.seed(int.from_bytes(digest[:16], 'little'))
    np.random.seed(int.from_bytes(digest[16:20], 'little'))
    torch_seed = int.from_bytes(digest[20:], 'little')
    if sample == 0:
        torch.manual_seed(torch_seed)
    else:
        # Samples are loaded on the CPU. Seeding the GPUs too would be slow.
        torch.default_generator.manual_seed(torch_seed)


@dataclass(frozen=True)
class SeededIndices:
    """Indices of the samples in a batch.

    Iterating over them seeds the generators before each sample is loaded.
    """

    indices: Sequence[int]
    seed: int
    rank: int
    iteration: int

    def __iter__(self) -> Iterator[int]:
        for sample, index in enumerate(self.indices, start=1):
            seed_generators(self.seed, rank=self.rank, iteration=self.iteration, sample=sample)
            yield index


class SeededBatchSampler(Sampler[SeededIndices]):
    """Batch sampler that can start within an epoch, and yields :class:`SeededIndices`.

    Call :meth:`start` first; until then it yields nothing. If ``sampler`` has an attribute
    ``seed``, it is set to the run's seed. ``batch_sampler`` is a config. ``endless`` repeats the
    data, as iteration-based loops need.
    """

    def __init__(
        self,
        sampler: Sampler[int],
        batch_size: int,
        batch_sampler: dict[str, Any],
        endless: bool,
    ):
        self.sampler = sampler
        self.batch_size = batch_size
        self.endless = endless
        self.batch_sampler = DATA_SAMPLERS.build(
            batch_sampler, default_args={'sampler': sampler, 'batch_size': batch_size}
        )
        # Dataloader workers iterate over SeededIndices, but do not know the rank.
        self.rank = get_rank()
        self.world_size = get_world_size()
        self.epoch: int | None = None  # until it is started

    def start(self, seed: int, iteration: int, epoch: int, num_done: int = 0) -> None:
        """Set the seed of all ranks, the next batch's iteration, and the number of batches to skip
        since an epoch.
        """
        self.seed = seed
        self.iteration = iteration
        self.epoch = epoch
        self.num_done = num_done

    def __len__(self) -> int:
        return len(self.batch_sampler)  # the number of batches in a whole epoch

    def __iter__(self) -> Iterator[SeededIndices]:
        if self.epoch is None:
            return
        batches = islice(self.iter_batches(self.epoch), self.num_done, None)
        for iteration, indices in enumerate(batches, self.iteration):
            yield SeededIndices(
                indices=indices, seed=self.seed, rank=self.rank, iteration=iteration
            )

    def iter_batches(self, first_epoch: int) -> Iterator[list[int]]:
        """Yield the batches from the beginning of an epoch."""
        for epoch in count(first_epoch):
            if hasattr(self.sampler, 'seed'):
                self.sampler.seed = self.seed
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)
            yield from self.batch_sampler
            if not self.endless:
                return


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
            raise UserError(
                f'train_dataloader has too few images for one batch of {get_world_size()} x '
                f'{self.batch_sampler.batch_size} (processes x batch_size). Use a smaller '
                'batch_size, fewer processes or train_dataloader.drop_last=False'
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
        if self.batch_sampler.epoch != self.epoch:
            self.batch_sampler.start(self.seed, self.iter, self.epoch)
        batches = iter(self.dataloader)
        while True:
            batch, is_late = self.load_next(batches)
            self.save_or_stop(must_stop=is_late)  # there are no data for the next iteration
            if batch is None:
                return
            yield batch

    def load_next(self, batches: Iterator[Any]) -> tuple[Any, bool]:
        """Return the next batch, or None after the last one, and whether it is late.

        Then a signal has been received, and the batch has not been loaded in time.
        """
        if self.checkpoint_hook is None:
            return next(batches, None), False
        try:
            return INTERRUPTS.wait_for(lambda: next(batches, None)), False
        except (DataTimeoutError, RuntimeError):  # torch's error if workers are dead
            if not INTERRUPTS.received:
                raise
            return None, True

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
            'seed': sampler.seed,
            'images': len(self.dataloader.dataset),
            'processes': sampler.world_size,
            'batch_size': sampler.batch_size,
            'length': len(sampler),
        }

    def get_state(self, meta: dict[str, Any]) -> dict[str, int]:
        """Return the position in the data, for a checkpoint with this ``meta``, and what the order
        depends on.
        """
        sampler = self.batch_sampler
        # The number of trained batches of the epoch or, in an iteration-based run, of all.
        num_done = 0
        if meta['epoch'] == sampler.epoch:
            num_done = sampler.num_done + meta['iter'] - sampler.iteration
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
        sampler.start(
            seed=meta['seed'], iteration=meta['iter'], epoch=epoch, num_done=state['num_done']
        )
        changes = [
            f'{name} {state[name]} -> {value}'
            for name, value in self.get_settings().items()
            if state[name] != value
        ]
        if changes:
            self.has_new_settings = True
            effect = 'the data order changes'
            if self.is_by_epoch:
                sampler.num_done = 0
                sampler.iteration = epoch * len(sampler)
                effect = f'epoch {epoch + 1} starts at iteration {sampler.iteration}'
            log_warning(f'{effect}, because settings have changed: {", ".join(changes)}')
        return sampler.iteration


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
            self.run_iter(self.batch_sampler.num_done + idx, batch)
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


def get_length(runner: Runner) -> tuple[str, int, int]:
    """Return the unit of a training's length, ``epoch`` or ``iteration``, and how many are done and
    planned.
    """
    if isinstance(runner.train_loop, MMEngineIterBasedTrainLoop):
        return 'iteration', runner.iter, runner.max_iters
    return 'epoch', runner.epoch, runner.max_epochs


def format_position(runner: Runner) -> str:
    """Return the number of trained epochs, or iterations in an iteration-based run, as text."""
    unit, done, _ = get_length(runner)
    return f'{unit} {done}'
