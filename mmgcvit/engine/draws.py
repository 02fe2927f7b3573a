"""Random draws that follow from the seed and from where in a run they are made, not from what was drawn before.

A run that is resumed at an iteration then draws what the uninterrupted one draws there: there is no state of generators
to save, and none in data workers to be lost. How many workers load, and whether they persist, changes nothing either.
"""

import random
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import count, islice

import numpy as np
import torch
from mmengine.dist import get_rank
from torch.utils.data import DataLoader, Sampler

WHOLE_BATCH = 0
# What a DataLoader was built with beside its data set and its batches.
SETTINGS = (
    *('num_workers', 'collate_fn', 'pin_memory', 'timeout', 'worker_init_fn', 'multiprocessing_context'),
    *('generator', 'prefetch_factor', 'persistent_workers'),
)


def seed_generators(seed: int, rank: int, iteration: int, place: int) -> None:
    """Seed torch, NumPy and Python for one piece of a run.

    A cryptographic hash makes of neighbouring numbers seeds that have nothing to do with each other: of 128 bits for
    Python, 64 for torch, and 32 for NumPy, which takes several times as long for more. So of a million samples about a
    hundred have NumPy draw what it draws for another one too.

    Args:
        seed: The run's.
        rank: Of the process that trains.
        iteration: Counted from 0 over the whole run.
        place: ``WHOLE_BATCH`` for what is drawn once it is loaded, from 1 for the samples of the batch.
    """
    digest = blake2b(f'{seed} {rank} {iteration} {place}'.encode(), digest_size=28).digest()
    random.seed(int.from_bytes(digest[:16], 'little'))
    np.random.seed(int.from_bytes(digest[16:20], 'little'))
    # Samples are made on the CPU; seeding all devices takes several times as long as all else here.
    seed_torch = torch.manual_seed if place == WHOLE_BATCH else torch.default_generator.manual_seed
    seed_torch(int.from_bytes(digest[20:], 'little'))


class SeededIndices:
    """The indices of a batch; going through them seeds the generators for each sample before it is loaded.

    The data set itself stays what it is: hosts' hooks set attributes of it, which one standing in for it would hide.
    """

    def __init__(self, indices: Sequence[int], seed: int, rank: int, iteration: int) -> None:
        self.indices, self.seed, self.rank, self.iteration = indices, seed, rank, iteration

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        for place, index in enumerate(self.indices, WHOLE_BATCH + 1):
            seed_generators(self.seed, self.rank, self.iteration, place)
            yield index


class Passes(Sampler):
    """The batches of one pass over the data after the other, without end, each pass in an order of its own.

    Args:
        batches: A batch sampler.
    """

    def __init__(self, batches: Sampler) -> None:
        self.batches = batches
        self.sampler, self.batch_size = (getattr(batches, name, None) for name in ('sampler', 'batch_size'))

    def __len__(self) -> int:
        """Batches of one pass."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        for number in count():
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(number)
            yield from self.batches


class NumberedBatches(Sampler):
    """The batches of a batch sampler from any one on, each for a known iteration. None before :meth:`begin`.

    Batches that are passed over are indices only: nothing of them is loaded.

    Args:
        batches: A batch sampler.
        seed: The run's, where the sampler has none.
    """

    def __init__(self, batches: Sampler, seed: int) -> None:
        self.batches = batches
        self.sampler, self.batch_size = (getattr(batches, name, None) for name in ('sampler', 'batch_size'))
        # Here: a worker that is not forked does not know it.
        self.rank = get_rank()
        self.seed = getattr(self.sampler, 'seed', seed)
        self.start: tuple[int, int] | None = None

    def take_seed(self, seed: int) -> None:
        """Order and draw as the run of a seed, another one than mmengine chose when this one was started."""
        self.seed = seed
        if hasattr(self.sampler, 'seed'):
            self.sampler.seed = seed

    def begin(self, iteration: int, passed_over: int) -> None:
        """Say which batch is the next.

        Args:
            iteration: The run's iteration for which it is.
            passed_over: Batches before it.
        """
        self.start = iteration, passed_over

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[SeededIndices]:
        if self.start is None:
            return
        first, passed_over = self.start
        for iteration, indices in enumerate(islice(self.batches, passed_over, None), first):
            yield SeededIndices(indices, self.seed, self.rank, iteration)


def with_batches(loader: DataLoader, batches: Sampler) -> DataLoader:
    """A loader like another one, of other batches."""
    return DataLoader(loader.dataset, batch_sampler=batches, **{name: getattr(loader, name) for name in SETTINGS})
