"""mmengine's training loops, resumable at any iteration: seed and iteration determine the random numbers.

So there is no generator state to save or to lose in data workers, and the number of workers changes nothing.
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

# The training step's place among the samples, which count from 1.
WHOLE_BATCH = 0


def seed_generators(seed: int, rank: int, iteration: int, sample: int) -> None:
    """Seed torch, NumPy and Python for a sample, or with ``sample=WHOLE_BATCH`` for the training step.

    A cryptographic hash gives independent seeds: 128 bits for Python, 64 for torch, 32 for NumPy, which is slow with
    more.

    Args:
        seed: Of the run.
        rank: Of the process.
        iteration: Of the run, from 0.
        sample: Position in the batch, from 1.
    """
    digest = blake2b(f'{seed} {rank} {iteration} {sample}'.encode(), digest_size=28).digest()
    random.seed(int.from_bytes(digest[:16], 'little'))
    np.random.seed(int.from_bytes(digest[16:20], 'little'))
    # Samples are loaded on the CPU, and seeding all devices is slow.
    seed_torch = torch.manual_seed if sample == WHOLE_BATCH else torch.default_generator.manual_seed
    seed_torch(int.from_bytes(digest[20:], 'little'))


class SeededIndices:
    """Indices of a batch; iterating over them seeds the generators for each sample."""

    def __init__(self, indices: Sequence[int], seed: int, rank: int, iteration: int) -> None:
        self.indices, self.seed, self.rank, self.iteration = indices, seed, rank, iteration

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        for sample, index in enumerate(self.indices, WHOLE_BATCH + 1):
            seed_generators(self.seed, self.rank, self.iteration, sample)
            yield index


class SeededBatchSampler(Sampler):
    """Batches of another batch sampler, from any position on, seeded by iteration. Empty before :meth:`begin`.

    Args:
        sampler: Samples indices; its ``seed``, if it has one, becomes the run's.
        batch_size: Samples in a batch of one process.
        batch_sampler: Config of the other batch sampler; default: consecutive indices.
        drop_last: For the default, whether to drop an incomplete last batch.
        endless: Repeat the data, as iteration-based loops need.
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
        self.batches = BatchSampler(sampler, batch_size, drop_last)
        if batch_sampler is not None:
            self.batches = DATA_SAMPLERS.build(
                batch_sampler, default_args={'sampler': sampler, 'batch_size': batch_size}
            )
        # Read here, as a spawned data worker does not know the rank.
        self.rank = get_rank()
        self.start: tuple[int, int, int] | None = None

    def begin(self, seed: int, iteration: int, skipped: int) -> None:
        """Set the iteration of the next batch, and how many batches to skip without loading them."""
        self.start = seed, iteration, skipped
        if hasattr(self.sampler, 'seed'):
            self.sampler.seed = seed

    def __len__(self) -> int:
        """Number of batches in one pass."""
        return len(self.batches)

    def __iter__(self) -> Iterator[SeededIndices]:
        if self.start is None:
            return
        seed, first, skipped = self.start
        batches = self.passes() if self.endless else self.batches
        for iteration, indices in enumerate(islice(batches, skipped, None), first):
            yield SeededIndices(indices, seed, self.rank, iteration)

    def passes(self) -> Iterator[list[int]]:
        for number in count():
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(number)
            yield from self.batches


def make_seeded(dataloader: dict, endless: bool = False) -> ConfigDict:
    """Return a dataloader config with a :class:`SeededBatchSampler`."""
    seeded = ConfigDict(deepcopy(dataloader))
    if not seeded.get('batch_size') or not seeded.get('sampler'):
        raise UserError(
            'train_dataloader needs a map-style dataset, a sampler and a batch_size; otherwise training cannot resume '
            "within an epoch. Set them, or use mmengine's loop: train_cfg.type=EpochBasedTrainLoop"
        )
    seeded.batch_sampler = {
        'type': SeededBatchSampler,
        'batch_sampler': seeded.get('batch_sampler'),
        'drop_last': seeded.pop('drop_last', False),
        'endless': endless,
    }
    return seeded


def require_batches(batches: SeededBatchSampler) -> None:
    """Raise a UserError if there is no batch."""
    if len(batches) == 0:
        raise UserError(
            f'train_dataloader has fewer samples than a batch of {batches.batch_size} on each of {get_world_size()} '
            'processes; use a smaller batch_size, fewer processes, or drop_last=False'
        )


@LOOPS.register_module()
class EpochBasedTrainLoop(MMEngineEpochBasedTrainLoop):
    """mmengine's epoch-based loop, resumable at any iteration.

    Args:
        runner: The runner.
        dataloader: Config of the training dataloader, with a ``batch_size``.
        **kwargs: mmengine's: ``max_epochs``, ``val_begin``, ``val_interval``, ...

    Raises:
        UserError: There is no ``batch_size``, or no batch.
    """

    def __init__(self, runner: Any, dataloader: dict, **kwargs: Any) -> None:
        super().__init__(runner, make_seeded(dataloader), **kwargs)
        self.batches: SeededBatchSampler = self.dataloader.batch_sampler
        self.skipped = 0
        require_batches(self.batches)

    def run_epoch(self) -> None:
        """Train one epoch, or the rest of it."""
        done = self._iter - self._epoch * len(self.dataloader)
        # Restart the epoch if iterations were counted with another batch size.
        self.skipped = done if 0 <= done <= len(self.dataloader) else 0
        self.batches.begin(self.runner.seed, self._iter, self.skipped)
        super().run_epoch()

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Train on one batch."""
        seed_generators(self.runner.seed, self.batches.rank, self._iter, WHOLE_BATCH)
        super().run_iter(self.skipped + idx, data_batch)


@LOOPS.register_module()
class IterBasedTrainLoop(MMEngineIterBasedTrainLoop):
    """mmengine's iteration-based loop, resumable at any iteration; arguments as for :class:`EpochBasedTrainLoop`."""

    def __init__(self, runner: Any, dataloader: dict, **kwargs: Any) -> None:
        super().__init__(runner, make_seeded(dataloader, endless=True), **kwargs)
        self.batches: SeededBatchSampler = self.dataloader.batch_sampler
        require_batches(self.batches)
        self.dataloader_iterator = BatchesOfLoop(self)
        # mmengine 0.10 starts persistent workers here, too early for hooks.
        self.dataloader._iterator = None
        # For later mmengine: the iterator skips without loading.
        self.fast_forward_on_resume = False

    def run_iter(self, data_batch: Any) -> None:
        seed_generators(self.runner.seed, self.batches.rank, self._iter, WHOLE_BATCH)
        super().run_iter(data_batch)


class BatchesOfLoop:
    """Batches of an iteration-based loop, from the iteration that it resumes at.

    mmengine first asks to skip earlier ones: by ``skip_iter``, in version 0.10 by ``next``.
    """

    def __init__(self, loop: IterBasedTrainLoop) -> None:
        self.loop, self.skipped = loop, 0
        self.loaded: Iterator[Any] | None = None

    def skip_iter(self, number: int) -> None:
        self.skipped = number

    def __next__(self) -> Any:
        if self.skipped < self.loop.iter and self.loaded is None:
            self.skipped += 1
            return None
        if self.loaded is None:
            self.loop.batches.begin(self.loop.runner.seed, self.loop.iter, self.loop.iter)
            self.loaded = iter(self.loop.dataloader)
        return next(self.loaded)
