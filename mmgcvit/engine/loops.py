"""Training loops whose random draws follow from the seed and from where in a run they are made.

Not from what was drawn before: a run that is resumed at an iteration draws what the uninterrupted one draws there.
There is no state of generators to save, and none in data workers to be lost. How many workers load changes nothing.
"""

import random
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochBasedTrainLoop
from mmengine.runner import IterBasedTrainLoop as MMEngineIterBasedTrainLoop
from torch import nn
from torch.utils.data import DataLoader, Sampler

from ..errors import UserError
from ..registry import LOOPS

WHOLE_BATCH = 0
# What a DataLoader was built with beside its data set and its batches.
LOADER_SETTINGS = (
    *('num_workers', 'collate_fn', 'pin_memory', 'timeout', 'worker_init_fn', 'multiprocessing_context'),
    *('generator', 'prefetch_factor', 'persistent_workers'),
)


def seed_generators(seed: int, rank: int, iteration: int, place: int) -> None:
    """Seed torch, NumPy and Python for one piece of a run.

    A cryptographic hash makes of neighbouring numbers seeds that have nothing to do with each other: of 128 bits for
    Python, 64 for torch, and 32 for NumPy, which takes several times as long for more. So of a million samples about a
    hundred have NumPy draw what it draws for another one too.

    Iterations are counted from 0 over the whole run; ``place`` is ``WHOLE_BATCH`` for what is drawn once a batch is
    loaded, from 1 for its samples.
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


class NumberedBatches(Sampler):
    """The batches of a batch sampler from any one on, each for a known iteration. None before :meth:`begin`.

    Batches that are passed over are indices only: nothing of them is loaded. Where the sampler has no seed it is the
    run's. Endless ones are one pass over the data after the other, each in an order of its own.
    """

    def __init__(self, batches: Sampler, seed: int, endless: bool = False) -> None:
        self.batches, self.endless = batches, endless
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
        """Say for which iteration of the run the next batch is, and how many are before it."""
        self.start = iteration, passed_over

    def __len__(self) -> int:
        """Batches of one pass."""
        return len(self.batches)

    def __iter__(self) -> Iterator[SeededIndices]:
        if self.start is None:
            return
        first, passed_over = self.start
        batches = self.passes() if self.endless else self.batches
        for iteration, indices in enumerate(islice(batches, passed_over, None), first):
            yield SeededIndices(indices, self.seed, self.rank, iteration)

    def passes(self) -> Iterator[list[int]]:
        for number in count():
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(number)
            yield from self.batches


def built(runner: Any, dataloader: DataLoader | dict) -> DataLoader:
    """The loader of a config as mmengine's loops build it; one that is built already as it is."""
    different = runner._randomness_cfg.get('diff_rank_seed', False)
    loader = runner.build_dataloader(dataloader, seed=runner.seed, diff_rank_seed=different)
    if loader.batch_sampler is None:
        raise UserError(
            'train_dataloader has no batches of indices (its data set is iterable, or its batch_size None), so that a '
            'resumed run would not know where it is; give it both, or train with train_cfg.type=EpochBasedTrainLoop, '
            "mmengine's"
        )
    if len(loader.batch_sampler) == 0:
        raise UserError(
            f'train_dataloader gives no batch: {len(loader.dataset)} samples, shared out among {get_world_size()} '
            'processes, make none of its batch_size; take a smaller one, fewer processes, or drop_last=False'
        )
    return loader


def with_batches(loader: DataLoader, batches: Sampler) -> DataLoader:
    """A loader like another one, of other batches."""
    settings = {name: getattr(loader, name) for name in LOADER_SETTINGS}
    return DataLoader(loader.dataset, batch_sampler=batches, **settings)


@LOOPS.register_module()
class EpochBasedTrainLoop(MMEngineEpochBasedTrainLoop):
    """mmengine's loop over epochs, resumable anywhere.

    Args:
        runner: The runner.
        dataloader: Of the training data, or its config.
        **kwargs: As for mmengine's: ``max_epochs`` or ``max_iters``, ``val_begin``, ``val_interval``, ...

    Raises:
        UserError: The loader has no batch sampler, or no batch.
    """

    def __init__(self, runner: Any, dataloader: DataLoader | dict, **kwargs: Any) -> None:
        loader = built(runner, dataloader)
        self.batches = NumberedBatches(loader.batch_sampler, runner.seed)
        self.done_before = 0
        super().__init__(runner, with_batches(loader, self.batches), **kwargs)

    def run_epoch(self) -> None:
        """Iterate one epoch, or what is left of it."""
        done = self._iter - self._epoch * len(self.dataloader)
        # Otherwise iterations were counted in batches of another size.
        self.done_before = done if 0 <= done <= len(self.dataloader) else 0
        self.batches.begin(self._iter, self.done_before)
        super().run_epoch()

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Iterate one batch, the ``idx``-th of those of the epoch that this process has trained with."""
        seed_generators(self.batches.seed, self.batches.rank, self._iter, WHOLE_BATCH)
        super().run_iter(self.done_before + idx, data_batch)


@LOOPS.register_module()
class IterBasedTrainLoop(MMEngineIterBasedTrainLoop):
    """mmengine's loop over iterations, resumable anywhere; for arguments see :class:`EpochBasedTrainLoop`."""

    def __init__(self, runner: Any, dataloader: DataLoader | dict, **kwargs: Any) -> None:
        loader = built(runner, dataloader)
        self.batches = NumberedBatches(loader.batch_sampler, runner.seed, endless=True)
        # mmengine's begins to load at once in some versions, and restarts loaders; this one gives nothing yet.
        super().__init__(runner, DataLoader(loader.dataset, batch_sampler=self.batches), **kwargs)
        del self.dataloader_iterator
        self.dataloader = with_batches(loader, self.batches)

    def run(self) -> nn.Module:
        """Train to the last iteration.

        mmengine 0.10's own goes on from a checkpoint by loading all images that were trained with. To be removed once
        the oldest version that this package supports begins where it is told.
        """
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.batches.begin(self._iter, self._iter)
        # Workers would pass over all that was trained with, of a run that is past its end too.
        batches = iter(self.dataloader if self._iter < self._max_iters else ())
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(batches))
            self._decide_current_val_interval()
            is_time = self._iter % self.val_interval == 0 or self._iter == self._max_iters
            if self.runner.val_loop is not None and self._iter >= self.val_begin and is_time:
                self.runner.val_loop.run()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_iter(self, data_batch: Any) -> None:
        seed_generators(self.batches.seed, self.batches.rank, self._iter, WHOLE_BATCH)
        super().run_iter(data_batch)
