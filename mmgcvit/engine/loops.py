"""Make mmengine's training loops resumable at any iteration.

The run's seed and the iteration determine the random numbers. So checkpoints need no states of random number
generators, and results do not depend on ``num_workers``.
"""

import random
from collections.abc import Iterator, Sequence
from copy import deepcopy
from hashlib import blake2b
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.dist import get_rank, get_world_size
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochBasedTrainLoop
from mmengine.runner import IterBasedTrainLoop as MMEngineIterBasedTrainLoop
from torch.utils.data import BatchSampler, Sampler

from ..errors import UserError
from ..registry import LOOPS

# Instead of a sample's position (1, 2, ...), seed_generators takes this number to seed the training step.
WHOLE_BATCH = 0


def seed_generators(seed: int, rank: int, iteration: int, sample: int) -> None:
    """Seed torch, NumPy and Python, either to load a sample or for the training step.

    A cryptographic hash of the arguments gives independent seeds: 128 bits for Python, 64 for torch, and 32 for NumPy,
    for which longer seeds are slow.

    Args:
        seed: Seed of the run.
        rank: Rank of the process.
        iteration: Iteration of the run, counted from 0.
        sample: Position of the sample in the batch, counted from 1, or :data:`WHOLE_BATCH` for the training step.
    """
    digest = blake2b(f'{seed} {rank} {iteration} {sample}'.encode(), digest_size=28).digest()
    random.seed(int.from_bytes(digest[:16], 'little'))
    np.random.seed(int.from_bytes(digest[16:20], 'little'))
    # Seeding the GPUs is slow. Samples are loaded on the CPU and do not need it.
    seed_torch = torch.manual_seed if sample == WHOLE_BATCH else torch.default_generator.manual_seed
    seed_torch(int.from_bytes(digest[20:], 'little'))


class SeededIndices:
    """Indices of the samples in a batch. Iterating over them seeds the generators before each sample is loaded."""

    def __init__(self, indices: Sequence[int], seed: int, rank: int, iteration: int) -> None:
        self.indices, self.seed, self.rank, self.iteration = indices, seed, rank, iteration

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        for sample, index in enumerate(self.indices, WHOLE_BATCH + 1):
            seed_generators(self.seed, self.rank, self.iteration, sample)
            yield index


class SeededBatchSampler(Sampler):
    """Batch sampler that can start at any batch, and yields :class:`SeededIndices`. Call :meth:`begin` first.

    Args:
        sampler: Sampler of indices. If it has an attribute ``seed``, :meth:`begin` sets it to the run's seed.
        batch_size: Number of samples per batch on each rank.
        batch_sampler: Config of the batch sampler that makes the batches; by default torch's ``BatchSampler``.
        drop_last: Whether torch's ``BatchSampler`` drops an incomplete last batch.
        endless: Whether to repeat the data, as iteration-based loops need.
    """

    def __init__(
        self,
        sampler: Sampler,
        batch_size: int,
        batch_sampler: dict | None = None,
        drop_last: bool = False,
        endless: bool = False,
    ) -> None:
        self.sampler, self.batch_size, self.endless = sampler, batch_size, endless
        self.batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        if batch_sampler is not None:
            self.batch_sampler = DATA_SAMPLERS.build(
                batch_sampler, default_args={'sampler': sampler, 'batch_size': batch_size}
            )
        # Dataloader workers iterate over SeededIndices, but do not know the rank.
        self.rank = get_rank()
        self.start: tuple[int, int, int] | None = None

    def begin(self, seed: int, iteration: int, num_skipped: int) -> None:
        """Set the run's seed, the iteration of the first batch, and how many batches to skip without loading them."""
        self.start = seed, iteration, num_skipped
        if hasattr(self.sampler, 'seed'):
            self.sampler.seed = seed

    def __len__(self) -> int:
        """Return the number of batches in one pass over the data."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[SeededIndices]:
        if self.start is None:
            return
        seed, first_iteration, num_skipped = self.start
        batches = self.repeat_batches() if self.endless else self.batch_sampler
        for iteration, indices in enumerate(islice(batches, num_skipped, None), first_iteration):
            yield SeededIndices(indices, seed, self.rank, iteration)

    def repeat_batches(self) -> Iterator[list[int]]:
        for epoch in count():
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)
            yield from self.batch_sampler


def add_seeded_batch_sampler(dataloader: dict, endless: bool = False) -> ConfigDict:
    """Return a copy of a dataloader config with a :class:`SeededBatchSampler`."""
    seeded = ConfigDict(deepcopy(dataloader))
    if not seeded.get('batch_size') or not seeded.get('sampler'):
        missing = ' and no '.join(name for name in ('batch_size', 'sampler') if not seeded.get(name))
        raise UserError(
            f'train_dataloader has no {missing}, so training could not resume within an epoch. Set '
            f"{missing.replace(' and no ', ' and ')}, or use mmengine's loop (train_cfg.type=EpochBasedTrainLoop or "
            'IterBasedTrainLoop)'
        )
    seeded.batch_sampler = {
        'type': SeededBatchSampler,
        'batch_sampler': seeded.get('batch_sampler'),
        'drop_last': seeded.pop('drop_last', False),
        'endless': endless,
    }
    return seeded


def require_batches(batch_sampler: SeededBatchSampler) -> None:
    """Raise a UserError if a batch sampler has no batch."""
    if len(batch_sampler) == 0:
        raise UserError(
            'train_dataloader has too few images for one batch. A batch has '
            f'{get_world_size()} x {batch_sampler.batch_size} images (processes x batch_size). Use a smaller '
            'train_dataloader.batch_size or fewer processes, or set train_dataloader.drop_last=False'
        )


@LOOPS.register_module()
class EpochBasedTrainLoop(MMEngineEpochBasedTrainLoop):
    """mmengine's epoch-based loop, resumable at any iteration.

    Args:
        runner: mmengine's runner.
        dataloader: Config of the training dataloader, with a ``batch_size``.
        **kwargs: Arguments of mmengine's loop: ``max_epochs``, ``val_begin``, ``val_interval``, ...

    Raises:
        UserError: The dataloader has no ``batch_size`` or no sampler, or too few samples for one batch.
    """

    def __init__(self, runner: Any, dataloader: dict, **kwargs: Any) -> None:
        super().__init__(runner, add_seeded_batch_sampler(dataloader), **kwargs)
        self.batch_sampler: SeededBatchSampler = self.dataloader.batch_sampler
        self.num_skipped = 0
        require_batches(self.batch_sampler)

    def run_epoch(self) -> None:
        """Train one epoch, or the rest of it."""
        done = self._iter - self._epoch * len(self.dataloader)
        # If the batch size has changed on resuming, `done` may be invalid for this epoch. Then the epoch starts again.
        self.num_skipped = done if 0 <= done <= len(self.dataloader) else 0
        self.batch_sampler.begin(self.runner.seed, self._iter, self.num_skipped)
        super().run_epoch()

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Seed the random number generators and train on one batch."""
        seed_generators(self.runner.seed, self.batch_sampler.rank, self._iter, WHOLE_BATCH)
        super().run_iter(self.num_skipped + idx, data_batch)


@LOOPS.register_module()
class IterBasedTrainLoop(MMEngineIterBasedTrainLoop):
    """mmengine's iteration-based loop, resumable at any iteration. See :class:`EpochBasedTrainLoop` for arguments."""

    def __init__(self, runner: Any, dataloader: dict, **kwargs: Any) -> None:
        super().__init__(runner, add_seeded_batch_sampler(dataloader, endless=True), **kwargs)
        self.batch_sampler: SeededBatchSampler = self.dataloader.batch_sampler
        require_batches(self.batch_sampler)
        self.dataloader_iterator = BatchIterator(self)
        # mmengine 0.10.7 has already started persistent workers. Without _iterator, new workers start after hooks have
        # set worker_init_fn.
        self.dataloader._iterator = None
        # If this were True, later versions of mmengine would not call BatchIterator.skip_iter.
        self.fast_forward_on_resume = False

    def run_iter(self, data_batch: Any) -> None:
        seed_generators(self.runner.seed, self.batch_sampler.rank, self._iter, WHOLE_BATCH)
        super().run_iter(data_batch)


class BatchIterator:
    """Iterator over the batches of an iteration-based loop, from the iteration at which the run resumes.

    To skip earlier batches, mmengine first calls ``skip_iter`` or, up to version 0.10.7, ``next`` for each batch. Both
    load nothing.
    """

    def __init__(self, loop: IterBasedTrainLoop) -> None:
        self.loop, self.num_skipped = loop, 0
        self.iterator: Iterator[Any] | None = None

    def skip_iter(self, num_iters: int) -> None:
        self.num_skipped = num_iters

    def __next__(self) -> Any:
        if self.num_skipped < self.loop.iter and self.iterator is None:
            self.num_skipped += 1
            return None
        if self.iterator is None:
            self.loop.batch_sampler.begin(self.loop.runner.seed, self.loop.iter, self.loop.iter)
            self.iterator = iter(self.loop.dataloader)
        return next(self.iterator)
