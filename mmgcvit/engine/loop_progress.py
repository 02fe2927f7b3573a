"""How much of a training mmengine's loop has done."""

from dataclasses import dataclass

from mmengine.runner import IterBasedTrainLoop, Runner


@dataclass(frozen=True)
class LoopProgress:
    """How much of a training is done."""

    unit: str  # of its length: 'epoch' or 'iteration'
    done: int
    planned: int


def get_progress(runner: Runner) -> LoopProgress:
    """Return how much of a training is done."""
    if isinstance(runner.train_loop, IterBasedTrainLoop):
        return LoopProgress('iteration', runner.iter, runner.max_iters)
    return LoopProgress('epoch', runner.epoch, runner.max_epochs)


def format_position(runner: Runner) -> str:
    """Return the number of trained epochs, or iterations in an iteration-based run, as text."""
    progress = get_progress(runner)
    return f'{progress.unit} {progress.done}'
