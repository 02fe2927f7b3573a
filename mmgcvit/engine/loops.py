"""Training loops whose every iteration follows from the seed, the weights before it, and its number: see :mod:`.draws`.

They begin wherever a checkpoint was saved, within an epoch too, and take mmengine's arguments.
"""

from typing import Any

from mmengine.dist import get_world_size
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochBasedTrainLoop
from mmengine.runner import IterBasedTrainLoop as MMEngineIterBasedTrainLoop
from torch import nn
from torch.utils.data import DataLoader

from ..registry import LOOPS
from .draws import WHOLE_BATCH, NumberedBatches, Passes, seed_generators, with_batches


@LOOPS.register_module()
class EpochBasedTrainLoop(MMEngineEpochBasedTrainLoop):
    """mmengine's loop over epochs, resumable anywhere.

    Args:
        runner: The runner.
        dataloader: Of the training data, or its config.
        **kwargs: As for mmengine's: ``max_epochs``, ``val_begin``, ``val_interval``, ``dynamic_intervals``.

    Raises:
        ValueError: The loader has no batch sampler.
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
        """Iterate one batch.

        Args:
            idx: Its number among those of the epoch that this process has trained with.
            data_batch: What the loader gives.
        """
        seed_generators(self.batches.seed, self.batches.rank, self._iter, WHOLE_BATCH)
        super().run_iter(self.done_before + idx, data_batch)


@LOOPS.register_module()
class IterBasedTrainLoop(MMEngineIterBasedTrainLoop):
    """mmengine's loop over iterations, resumable anywhere.

    Args:
        runner: The runner.
        dataloader: Of the training data, or its config.
        **kwargs: As for mmengine's: ``max_iters``, ``val_begin``, ``val_interval``, ``dynamic_intervals``.

    Raises:
        ValueError: The loader has no batch sampler.
    """

    def __init__(self, runner: Any, dataloader: DataLoader | dict, **kwargs: Any) -> None:
        loader = built(runner, dataloader)
        self.batches = NumberedBatches(Passes(loader.batch_sampler), runner.seed)
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
            if self.is_to_validate():
                self.runner.val_loop.run()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_iter(self, data_batch: Any) -> None:
        """Iterate one batch."""
        seed_generators(self.batches.seed, self.batches.rank, self._iter, WHOLE_BATCH)
        super().run_iter(data_batch)

    def is_to_validate(self) -> bool:
        """Whether the iteration that has just been counted is followed by a validation."""
        is_time = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        return self.runner.val_loop is not None and self._iter >= self.val_begin and is_time


def built(runner: Any, dataloader: DataLoader | dict) -> DataLoader:
    """The loader of a config as mmengine's loops build it; one that is built already as it is.

    Raises:
        ValueError: It has no batch sampler, or no batch.
    """
    different = runner._randomness_cfg.get('diff_rank_seed', False)
    loader = runner.build_dataloader(dataloader, seed=runner.seed, diff_rank_seed=different)
    if loader.batch_sampler is None:
        raise ValueError(
            'train_dataloader has no batches of indices (its data set is iterable, or its batch_size None), so that a '
            'resumed run would not know where it is; give it both, or train with train_cfg.type=EpochBasedTrainLoop, '
            "mmengine's"
        )
    if len(loader.batch_sampler) == 0:
        raise ValueError(
            f'train_dataloader gives no batch: {len(loader.dataset)} samples, shared out among {get_world_size()} '
            'processes, make none of its batch_size; take a smaller one, fewer processes, or drop_last=False'
        )
    return loader
