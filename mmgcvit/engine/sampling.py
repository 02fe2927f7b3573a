"""Sample batches with seeded random numbers, from any position within an epoch.

The run's seed and the iteration determine the random numbers. So checkpoints need no states of random number
generators, and results do not depend on ``num_workers``. The position is the list of an epoch's segments: how many
batches were taken with which batch size and number of processes. The images that are left follow from it, also for
another batch size or number of processes.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import chain, count, islice
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank, get_world_size
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler, Sampler

# Instead of a sample's position (1, 2, ...), seed_generators takes this number to seed the training step.
WHOLE_BATCH = 0
# More batches than workers load in advance.
MAX_POSITIONS = 10_000


def seed_generators(seed: int, rank: int, iteration: int, sample: int) -> None:
    """Seed torch, NumPy and Python, either to load a sample or for the training step.

    A cryptographic hash of the arguments gives independent seeds: 128 bits for Python, 64 for torch, and 32 for NumPy,
    for which longer seeds are slow. ``iteration`` is counted from 0. ``sample`` is the sample's position in the batch,
    counted from 1, or :data:`WHOLE_BATCH` for the training step.
    """
    digest = blake2b(f'{seed} {rank} {iteration} {sample}'.encode(), digest_size=28).digest()
    random.seed(int.from_bytes(digest[:16], 'little'))
    np.random.seed(int.from_bytes(digest[16:20], 'little'))
    # Seeding the GPUs is slow. Samples are loaded on the CPU and do not need it.
    seed_torch = torch.manual_seed if sample == WHOLE_BATCH else torch.default_generator.manual_seed
    seed_torch(int.from_bytes(digest[20:], 'little'))


def derive_seed(seed: int, num_restarts: int) -> int:
    """Return the seed after a number of restarts, each of which draws other images and random numbers."""
    if num_restarts == 0:
        return seed
    return int.from_bytes(blake2b(f'{seed} {num_restarts}'.encode(), digest_size=4).digest(), 'little')


class SeededIndices:
    """Indices of the samples in a batch. Iterating over them seeds the generators before each sample is loaded."""

    def __init__(self, indices: Sequence[int], seed: int, rank: int, iteration: int) -> None:
        self.indices, self.seed, self.rank, self.iteration = indices, seed, rank, iteration

    def __iter__(self) -> Iterator[int]:
        for sample, index in enumerate(self.indices, WHOLE_BATCH + 1):
            seed_generators(self.seed, self.rank, self.iteration, sample)
            yield index


class Segment(NamedTuple):
    """Consecutive iterations of an epoch with the same seed, number of processes and images per process."""

    seed: int
    world_size: int
    batch_size: int
    num_batches: int


class RemainingSampler(Sampler):
    """The images of an epoch that are left after earlier segments, shared out among the ranks.

    The images have the order of mmengine's ``DefaultSampler`` or, in an endless epoch, ``InfiniteSampler``, without
    those in ``seen``.

    Args:
        sampler: The sampler for the whole epoch.
        epoch: The number of the epoch.
        seen: How often the earlier segments took each image.
        segment: The seed and the number of ranks.
        rank: The rank whose images are sampled.
    """

    def __init__(self, sampler: Sampler, epoch: int, seen: Counter[int], segment: Segment, rank: int) -> None:
        self.dataset, self.sampler, self.epoch, self.seen = sampler.dataset, sampler, epoch, seen
        self.seed, self.world_size, self.rank = segment.seed, segment.world_size, rank

    def __iter__(self) -> Iterator[int]:
        unseen = self.iter_unseen()
        if isinstance(self.sampler, InfiniteSampler):
            return islice(unseen, self.rank, None, self.world_size)
        indices = list(unseen)
        size = self.world_size * ceil(len(indices) / self.world_size) if self.sampler.round_up else len(indices)
        repeated = indices * (size // max(len(indices), 1) + 1)
        return iter(repeated[self.rank : size : self.world_size])

    def __len__(self) -> int:
        num_unseen = len(self.dataset) - len(+self.seen)
        return ceil((num_unseen - (0 if self.sampler.round_up else self.rank)) / self.world_size)

    def iter_unseen(self) -> Iterator[int]:
        """Iterate over the indices that are left for all ranks."""
        size, is_repeated, seen = len(self.dataset), isinstance(self.sampler, InfiniteSampler), Counter(self.seen)
        generator = torch.Generator().manual_seed(self.seed + (0 if is_repeated else self.epoch))
        for _ in count() if is_repeated else range(1):
            for index in torch.randperm(size, generator=generator).tolist() if self.sampler.shuffle else range(size):
                if seen[index] > 0:
                    seen[index] -= 1
                else:
                    yield index


class SeededBatchSampler(Sampler):
    """Batch sampler that can start within an epoch, and yields :class:`SeededIndices`. Call :meth:`start` first.

    Args:
        sampler: Sampler of indices. If it has an attribute ``seed``, it is set to the run's seed.
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
        self.config, self.drop_last = batch_sampler, drop_last
        self.batch_sampler = self.build_batch_sampler(sampler, batch_size)
        # Dataloader workers iterate over SeededIndices, but do not know the rank.
        self.rank, self.world_size = get_rank(), get_world_size()
        self.iteration = self.epoch = None
        # (epoch, number of its batches in the last segment) after each iteration. Workers load some batches in advance.
        self.positions: dict[int, tuple[int, int]] = {}

    def build_batch_sampler(self, sampler: Sampler, batch_size: int) -> Sampler:
        if self.config is None:
            return BatchSampler(sampler, batch_size, self.drop_last)
        return DATA_SAMPLERS.build(self.config, default_args={'sampler': sampler, 'batch_size': batch_size})

    def start(self, seed: int, iteration: int, epoch: int, segments: Sequence[Segment] = ()) -> None:
        """Set the run's seed, the iteration and epoch of the next batch, and what was trained on in this epoch."""
        self.iteration, self.epoch, self.positions = iteration, epoch, {}
        self.segments = list(segments)
        current = Segment(seed, self.world_size, self.batch_size, 0)
        if not self.segments or self.segments[-1]._replace(num_batches=0) != current:
            self.segments.append(current)

    def __len__(self) -> int:
        """Return the number of batches in a whole epoch."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[SeededIndices]:
        if self.iteration is None:
            return
        seed, num_done = self.segments[-1].seed, self.segments[-1].num_batches
        batches = islice(self.iter_batches(), num_done, None)
        for iteration, (epoch, number, indices) in enumerate(batches, self.iteration):
            self.positions[iteration + 1] = epoch, number
            self.positions.pop(iteration - MAX_POSITIONS, None)
            yield SeededIndices(indices, seed, self.rank, iteration)

    def iter_batches(self) -> Iterator[tuple[int, int, list[int]]]:
        """Iterate over this rank's batches, from the beginning of the last segment.

        Yields:
            The epoch, the number of the batch in the epoch's last segment, counted from 1, and the batch.
        """
        for epoch in count(self.epoch) if self.endless else [self.epoch]:
            segments = self.segments if epoch == self.epoch else self.segments[-1:]
            for number, indices in enumerate(self.get_epoch(epoch, segments), 1):
                yield epoch, number, indices

    def get_epoch(self, epoch: int, segments: Sequence[Segment]) -> Sampler:
        """Return the batch sampler for the last segment of an epoch."""
        if len(segments) > 1:
            *earlier, current = segments
            sampler = RemainingSampler(self.sampler, epoch, self.count_seen(epoch, earlier), current, self.rank)
            return self.build_batch_sampler(sampler, self.batch_size)
        if hasattr(self.sampler, 'seed'):
            self.sampler.seed = segments[-1].seed
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)
        return self.batch_sampler

    def count_seen(self, epoch: int, segments: Sequence[Segment]) -> Counter[int]:
        """Count how often all ranks of the given segments took each image."""
        seen: Counter[int] = Counter()
        for segment in segments:
            samplers = [RemainingSampler(self.sampler, epoch, seen, segment, r) for r in range(segment.world_size)]
            batches = (islice(self.build_batch_sampler(s, segment.batch_size), segment.num_batches) for s in samplers)
            seen = seen + Counter(chain.from_iterable(chain.from_iterable(batches)))
        return seen

    def count_batches(self) -> int:
        """Count this rank's batches in the epoch's last segment, if it lasts until the end of the epoch."""
        return len(self) if len(self.segments) == 1 else len(self.get_epoch(self.epoch, self.segments))

    def count_done(self) -> int:
        """Count the batches of the epoch that need not be trained on, as if all segments had this batch size."""
        return len(self) - self.count_batches() + self.segments[-1].num_batches

    def get_state(self, epoch: int | None, iteration: int) -> dict[str, Any]:
        """Return the position in the data before an iteration, in built-in types, for a checkpoint.

        Args:
            epoch: The epoch of the iteration. If None, as in iteration-based loops, it follows from the iteration.
            iteration: The iteration.

        Returns:
            The epoch, its segments until the iteration, the number of images and of iterations of a whole epoch, and
            the number of images of an iteration.
        """
        *earlier, current = self.segments
        # The default is for no batch since the start.
        own_epoch, num_done = self.positions.get(iteration, (self.epoch, current.num_batches))
        epoch = own_epoch if epoch is None else epoch
        if epoch != own_epoch:
            num_done = 0
        segments = [*(earlier if epoch == self.epoch else ()), current._replace(num_batches=num_done)]
        return {
            'epoch': epoch,
            'segments': [list(segment) for segment in segments],
            'images': len(self.sampler.dataset),
            'length': len(self),
            'batch_size': self.world_size * self.batch_size,
        }
