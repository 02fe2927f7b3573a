"""Peak memory of a step: on a GPU as torch counts it, on a CPU as the system counts it for a process of its own."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import torch

from .process import imports_from


def peak_memory_of(
    prepare: Callable[[], Callable[[], None]], device: str, warmup: int = 0, checkout: Path | None = None
) -> int:
    """Bytes that two steps need at most beyond what the process holds before them.

    Args:
        prepare: Makes the step; of a kind that can be pickled, for it is called in a new process.
        device: Whose memory: ``'cpu'``, ``'cuda'``, ``'cuda:N'``.
        warmup: So many steps come before, whose memory is not counted.
        checkout: As in :class:`.OwnProcess`.
    """
    with imports_from(checkout), multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(measure_here, (prepare, device, warmup, torch.get_num_threads()))


def measure_here(prepare: Callable[[], Callable[[], None]], device: str, warmup: int, num_threads: int) -> int:
    """See :func:`peak_memory_of`; in the process that it starts."""
    torch.set_num_threads(num_threads)
    step = prepare()
    for _ in range(warmup):
        step()
    forget_peak(device)
    before = bytes_held(device)
    for _ in range(2):
        step()
    return peak_bytes(device) - before


def forget_peak(device: str) -> None:
    """Begin anew with the most that was ever held."""
    if device == 'cpu':
        Path('/proc/self/clear_refs').write_text('5')
    else:
        torch.cuda.reset_peak_memory_stats(device)


def bytes_held(device: str) -> int:
    """What the process holds now."""
    return status('VmRSS') if device == 'cpu' else torch.cuda.memory_allocated(device)


def peak_bytes(device: str) -> int:
    """The most that the process ever held."""
    return status('VmHWM') if device == 'cpu' else torch.cuda.max_memory_allocated(device)


def status(name: str) -> int:
    """A figure of Linux's account of this process, in bytes."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024
