"""How many images a run takes for one step of its optimizer, and how they are shared out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import ConfigDict
from mmengine.dist import get_world_size


@dataclass(frozen=True)
class Batch:
    """The images of one step of the optimizer.

    Attributes:
        processes: On all nodes together.
        images: Of each process in an iteration.
        accumulated: Iterations whose gradients are added up.
    """

    processes: int
    images: int
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
