"""mmengine's training loops, resumable at any iteration.

The run's seed and the iteration determine the random numbers. So checkpoints need no states of
random number generators, and results do not depend on ``num_workers``.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, count, islice, repeat
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import BaseLoop, Runner
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochBasedTrainLoop
from mmengine.runner import IterBasedTrainLoop as MMEngineIterBasedTrainLoop
from torch.utils.data import BatchSampler, Sampler

from ..errors import UserError
from ..mmengine_utils import log_warning
from ..private_api import get_randomness, stop_workers
from ..registry import LOOPS

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


@dataclass
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
            seed_generators(self.seed, self.rank, self.iteration, sample)
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
            yield SeededIndices(indices, self.seed, self.rank, iteration)

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
    stores.
    """

    is_by_epoch: bool
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

    def load_batches(self) -> Iterator[Any]:
        """Load the batches that come next, one by one."""
        if self.batch_sampler.epoch != self.epoch:
            self.batch_sampler.start(self.seed, self.iter, self.epoch)
        batches = iter(self.dataloader)
        while (batch := self.load_next(batches)) is not None:
            yield batch

    def load_next(self, batches: Iterator[Any]) -> Any:
        """Return the next batch, or None after the last one.

        AtomicCheckpointHook replaces this method, to save checkpoints between iterations.
        """
        return next(batches, None)

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

    def run(self) -> Any:
        stop_workers(self.dataloader)  # hooks set worker_init_fn later
        # If this were True, later versions of mmengine would not skip the placeholders.
        self.fast_forward_on_resume = False
        self.dataloader_iterator = BatchIterator(repeat(None, self.iter), self.load_batches())
        return super().run()


class BatchIterator(chain[Any]):
    """Iterator over placeholders for the batches that mmengine skips when it resumes, and then over
    loaded batches.
    """

    def skip_iter(self, num_iters: int) -> None:  # mmengine up to 0.10.7 calls ``next`` instead
        for _ in range(num_iters):
            next(self)


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
