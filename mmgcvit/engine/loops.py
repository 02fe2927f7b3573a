"""mmengine's training loops, resumable at any iteration: random draws follow from the seed and the iteration.

They do not depend on what was drawn before, so there is no state of random generators to save, and none in data workers
to be lost. How many workers load changes nothing.
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

# Stands for the training step in the place of a sample; samples count from 1.
WHOLE_BATCH = 0


def seed_generators(seed: int, rank: int, iteration: int, sample: int) -> None:
    """Seed torch, NumPy and Python for one sample, or with ``sample=WHOLE_BATCH`` for the training step on a batch.

    A cryptographic hash makes independent seeds of neighbouring numbers: 128 bits for Python, 64 for torch, and 32 for
    NumPy, which takes several times as long for more.

    Args:
        seed: The run's.
        rank: The process.
        iteration: Counted from 0 over the whole run.
        sample: The place of a sample in its batch, from 1.
    """
    digest = blake2b(f'{seed} {rank} {iteration} {sample}'.encode(), digest_size=28).digest()
    random.seed(int.from_bytes(digest[:16], 'little'))
    np.random.seed(int.from_bytes(digest[16:20], 'little'))
    # Samples are made on the CPU; seeding all devices takes several times as long as all else here.
    seed_torch = torch.manual_seed if sample == WHOLE_BATCH else torch.default_generator.manual_seed
    seed_torch(int.from_bytes(digest[20:], 'little'))


class SeededIndices:
    """The indices of a batch; iterating over them seeds the generators for each sample before it is loaded."""

    def __init__(self, indices: Sequence[int], seed: int, rank: int, iteration: int) -> None:
        self.indices, self.seed, self.rank, self.iteration = indices, seed, rank, iteration

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        for sample, index in enumerate(self.indices, WHOLE_BATCH + 1):
            seed_generators(self.seed, self.rank, self.iteration, sample)
            yield index


class SeededBatchSampler(Sampler):
    """The batches of another batch sampler from any one on, seeded by iteration. None before :meth:`begin`.

    Args:
        sampler: Of indices; its ``seed``, if it has one, becomes the run's.
        batch_size: Samples in a batch of one process.
        batch_sampler: The other one's config; by default consecutive indices make a batch.
        drop_last: For that default, whether an incomplete last batch is left out.
        endless: Whether one pass over the data follows the other, as loops over iterations need it.
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
        # Here: a data worker that is not forked does not know its process's rank.
        self.rank = get_rank()
        self.start: tuple[int, int, int] | None = None

    def begin(self, seed: int, iteration: int, skipped: int) -> None:
        """Say for which iteration of the run the next batch is, and how many batches are before it.

        Skipped batches are indices only: nothing of them is loaded.
        """
        self.start = seed, iteration, skipped
        if hasattr(self.sampler, 'seed'):
            self.sampler.seed = seed

    def __len__(self) -> int:
        """Batches of one pass."""
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


def seeded(dataloader: dict, endless: bool = False) -> ConfigDict:
    """The config of a dataloader whose batches are those of :class:`SeededBatchSampler`."""
    seeded = ConfigDict(deepcopy(dataloader))
    if not seeded.get('batch_size') or not seeded.get('sampler'):
        raise UserError(
            'train_dataloader needs a map-style dataset, a sampler and a batch_size; otherwise training cannot resume '
            "within an epoch. Set them, or take mmengine's loop: train_cfg.type=EpochBasedTrainLoop"
        )
    seeded.batch_sampler = {
        'type': SeededBatchSampler,
        'batch_sampler': seeded.get('batch_sampler'),
        'drop_last': seeded.pop('drop_last', False),
        'endless': endless,
    }
    return seeded


def require_batches(batches: SeededBatchSampler) -> None:
    """Refuse a dataset that gives no batch."""
    if len(batches) == 0:
        raise UserError(
            f'train_dataloader gives no batch: its samples, divided among {get_world_size()} processes, make none of '
            f'{batches.batch_size}; take a smaller batch_size, fewer processes, or drop_last=False'
        )


@LOOPS.register_module()
class EpochBasedTrainLoop(MMEngineEpochBasedTrainLoop):
    """mmengine's loop over epochs, resumable at any iteration.

    Args:
        runner: The runner.
        dataloader: The config of the training data's, with a ``batch_size``.
        **kwargs: As for mmengine's: ``max_epochs``, ``val_begin``, ``val_interval``, ...

    Raises:
        UserError: There is no ``batch_size``, or not one batch.
    """

    def __init__(self, runner: Any, dataloader: dict, **kwargs: Any) -> None:
        super().__init__(runner, seeded(dataloader), **kwargs)
        self.batches: SeededBatchSampler = self.dataloader.batch_sampler
        self.skipped = 0
        require_batches(self.batches)

    def run_epoch(self) -> None:
        """Iterate one epoch, or what is left of it."""
        done = self._iter - self._epoch * len(self.dataloader)
        # Otherwise the iterations were counted in batches of another size: the epoch begins anew.
        self.skipped = done if 0 <= done <= len(self.dataloader) else 0
        self.batches.begin(self.runner.seed, self._iter, self.skipped)
        super().run_epoch()

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Train on one batch, the ``idx``-th of this process's epoch."""
        seed_generators(self.runner.seed, self.batches.rank, self._iter, WHOLE_BATCH)
        super().run_iter(self.skipped + idx, data_batch)


@LOOPS.register_module()
class IterBasedTrainLoop(MMEngineIterBasedTrainLoop):
    """mmengine's loop over iterations, resumable at any of them; for arguments see :class:`EpochBasedTrainLoop`."""

    def __init__(self, runner: Any, dataloader: dict, **kwargs: Any) -> None:
        super().__init__(runner, seeded(dataloader, endless=True), **kwargs)
        self.batches: SeededBatchSampler = self.dataloader.batch_sampler
        require_batches(self.batches)
        self.dataloader_iterator = BatchesOfLoop(self)
        # mmengine 0.10 has started persistent workers here, before hooks can prepare them.
        self.dataloader._iterator = None
        # Of later mmengines: what is trained already is skipped by the iterator, which loads nothing of it.
        self.fast_forward_on_resume = False

    def run_iter(self, data_batch: Any) -> None:
        seed_generators(self.runner.seed, self.batches.rank, self._iter, WHOLE_BATCH)
        super().run_iter(data_batch)


class BatchesOfLoop:
    """The batches of a loop over iterations, from the one that it goes on with.

    A resumed loop of mmengine first asks to skip those before: by ``skip_iter``, in version 0.10 by calls of ``next``.
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
