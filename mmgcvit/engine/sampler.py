"""Batches that a resumed run can continue, whose random numbers the seed and the iteration
determine.

So checkpoints need no states of random number generators, and results do not depend on
``num_workers``.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler


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


@dataclass(frozen=True)
class Position:
    """Where a batch sampler starts."""

    seed: int  # of all ranks
    iteration: int  # of the next batch
    epoch: int
    num_done: int = 0  # the batches to skip since the beginning of the epoch


class SeededBatchSampler(Sampler[SeededIndices]):
    """Batch sampler that can start within an epoch, and yields :class:`SeededIndices`.

    Set its ``position`` first; until then it yields nothing. If ``sampler`` has an attribute
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
        self.position: Position | None = None

    def __len__(self) -> int:
        return len(self.batch_sampler)  # the number of batches in a whole epoch

    def __iter__(self) -> Iterator[SeededIndices]:
        position = self.position
        if position is None:
            return
        batches = islice(self.iter_batches(position), position.num_done, None)
        for iteration, indices in enumerate(batches, position.iteration):
            yield SeededIndices(
                indices=indices, seed=position.seed, rank=self.rank, iteration=iteration
            )

    def iter_batches(self, position: Position) -> Iterator[list[int]]:
        """Yield the batches from the beginning of the position's epoch."""
        for epoch in count(position.epoch):
            if hasattr(self.sampler, 'seed'):
                self.sampler.seed = position.seed
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)
            yield from self.batch_sampler
            if not self.endless:
                return
