"""Measure a step of a whole model for several batch sizes."""

import gc
from dataclasses import dataclass
from functools import partial

import torch

from ...errors import first_line
from ..measuring import Timing, peak_memory_of, time_side_by_side
from .parts import seconds_of_parts
from .work import Inference, Training

WARMUP = 2


@dataclass(frozen=True)
class Row:
    """What was measured.

    Attributes:
        batch_size: So many images at a time.
        shape: (3, height, width) of an image as it comes from the pipeline.
        timing: Seconds of each round.
        weights: Bytes of parameters and buffers.
        peak: Bytes at most beyond the weights; None where it was not asked for.
        parts: Seconds of each part of the model, in inference.
    """

    batch_size: int
    shape: tuple[int, ...]
    timing: Timing
    weights: int
    peak: int | None
    parts: dict[str, float]

    @property
    def images_per_second(self) -> float:
        return self.batch_size / self.timing.median


def measure(work: Inference | Training, batch_size: int, rounds: int, with_memory: bool = True) -> Row | str:
    """Time a step after a warm-up, and then its memory in a process of its own.

    Args:
        work: What to do.
        batch_size: For so many images at a time.
        rounds: Timed so often.
        with_memory: Whether memory is measured.

    Returns:
        What was measured, or why it could not be done: there is not enough memory, above all.

    Raises:
        UserError: The work cannot be done at all.
        CheckpointError: The checkpoint cannot be used.
    """
    try:
        model, step, shape = work.build(batch_size)
    except torch.cuda.OutOfMemoryError as error:
        return first_line(error)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in (*model.parameters(), *model.buffers()))
    try:
        timing = time_side_by_side({'': step}, rounds, WARMUP)['']
        parts = seconds_of_parts(model, step, work.device, rounds) if isinstance(work, Inference) else {}
    # Of memory and kernels; and of batches that are too small for a norm.
    except (RuntimeError, ValueError) as error:
        return first_line(error)
    finally:
        # The other process is to have the device's memory.
        del model, step
        gc.collect()
        if work.device != 'cpu':
            torch.cuda.empty_cache()
    peak = None
    if with_memory:
        try:
            peak = peak_memory_of(partial(work.prepare, batch_size), work.device)
        except RuntimeError as error:
            return first_line(error)
    return Row(batch_size, shape, timing, weights, peak, parts)
