"""Sample batches with seeded random numbers, from any position within an epoch.

The run's seed and the iteration determine the random numbers. So checkpoints need no states of random number
generators, and results do not depend on ``num_workers``. The position in the data is the number of batches that have
been taken from the current epoch or, in an iteration-based run, since its beginning.
"""

import random
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import count, islice

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler, Sampler

# Instead of a sample's position (1, 2, ...), seed_generators takes this number to seed the training step.
WHOLE_BATCH = 0


def seed_generators(seed: int, rank: int, iteration: int, sample: int) -> None:
    """Seed torch, NumPy and Python, either to load a sample or for the training step.

    A cryptographic hash of the arguments gives independent seeds; NumPy's has 32 bits, since longer ones are slow.
    ``iteration`` is counted from 0, ``sample`` in the batch from 1; :data:`WHOLE_BATCH` stands for the training step.
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

    def __iter__(self) -> Iterator[int]:
        for sample, index in enumerate(self.indices, WHOLE_BATCH + 1):
            seed_generators(self.seed, self.rank, self.iteration, sample)
            yield index


class SeededBatchSampler(Sampler):
    """Batch sampler that can start within an epoch, and yields :class:`SeededIndices`. Call :meth:`start` first.

    If ``sampler`` has an attribute ``seed``, it is set to the run's seed. ``batch_sampler`` is a config or None, for
    torch's ``BatchSampler``. ``endless`` repeats the data, as iteration-based loops need.
    """

    def __init__(
        self, sampler: Sampler, batch_size: int, batch_sampler: dict | None, drop_last: bool, endless: bool
    ) -> None:
        self.sampler, self.batch_size, self.endless = sampler, batch_size, endless
        if batch_sampler is None:
            self.batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        else:
            arguments = {'sampler': sampler, 'batch_size': batch_size}
            self.batch_sampler = DATA_SAMPLERS.build(batch_sampler, default_args=arguments)
        # Dataloader workers iterate over SeededIndices, but do not know the rank.
        self.rank, self.world_size = get_rank(), get_world_size()
        self.iteration = self.epoch = None

    def start(self, seed: int, iteration: int, epoch: int, num_done: int = 0) -> None:
        """Set the seed of all ranks, the next batch's iteration, and the number of batches to skip since an epoch."""
        self.seed, self.iteration, self.epoch, self.num_done = seed, iteration, epoch, num_done

    def __len__(self) -> int:
        """Return the number of batches in a whole epoch."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[SeededIndices]:
        if self.iteration is None:
            return
        batches = islice(self.iter_batches(), self.num_done, None)
        for iteration, indices in enumerate(batches, self.iteration):
            yield SeededIndices(indices, self.seed, self.rank, iteration)

    def iter_batches(self) -> Iterator[list[int]]:
        """Yield the batches from the beginning of the epoch."""
        for epoch in count(self.epoch) if self.endless else [self.epoch]:
            if hasattr(self.sampler, 'seed'):
                self.sampler.seed = self.seed
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)
            yield from self.batch_sampler
