"""How many images a run takes for one step of its optimizer, and how they are shared out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dist import get_world_size


@dataclass(frozen=True)
class Batch:
    """The images of one step of the optimizer."""

    # On all nodes together.
    processes: int
    # Of each process in an iteration.
    images: int
    # Iterations whose gradients are added up.
    accumulated: int

    def __str__(self) -> str:
        """As users set it."""
        total = self.processes * self.images * self.accumulated
        return f'{total} ({self.processes} processes x {self.images} images x {self.accumulated} accumulated)'

    @property
    def of_iteration(self) -> int:
        """Images of an iteration, of all processes."""
        return self.processes * self.images


def batch_of(runner: Any) -> Batch | None:
    """The batch that a runner trains with; None where its loader does not say how many images it gives at a time."""
    images = getattr(runner.train_loop.dataloader.batch_sampler, 'batch_size', None)
    if isinstance(images, Sequence):  # of each of several data sets
        images = sum(images)
    return None if images is None else Batch(get_world_size(), images, accumulated(runner.cfg))


def accumulated(cfg: ConfigDict) -> int:
    """Batches whose gradients are added up for one step."""
    return (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)


def other_batch_size(cfg: Config, recipe: Config, processes: int) -> str | None:
    """What to say where a run's batch is not its recipe's, as its file has it, and its learning rate is not scaled.

    ``auto_scale_lr.base_batch_size`` goes with the number of accumulated batches of the same source, the file or the
    options, as mmengine scales. None where the batch is the recipe's, or nothing is known of it, or mmengine scales.
    """
    scaling = cfg.get('auto_scale_lr') or {}
    base, images = scaling.get('base_batch_size'), (cfg.get('train_dataloader') or {}).get('batch_size')
    if scaling.get('enable') or base is None or images is None:
        return None
    states_its_own = base != (recipe.get('auto_scale_lr') or {}).get('base_batch_size')
    counts = accumulated(cfg)
    total, meant = processes * images * counts, base * accumulated(cfg if states_its_own else recipe)
    if total == meant:
        return None
    return (
        f'The learning rate was made for {meant} images a step, and this run has {total}: {processes} processes x '
        f'{images} images x {counts} accumulated. --auto-scale-lr scales it; train_dataloader.batch_size and '
        'optim_wrapper.accumulative_counts change the number of images'
    )
