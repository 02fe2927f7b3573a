"""Peak memory of a backbone: on a GPU as torch counts it, on a CPU as the system counts it for a process of its own."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from .cases import Case


def peak_memory(build: Callable[[], nn.Module], case: Case) -> int:
    """Bytes that two steps of a case need at most beyond what the process holds before them.

    Args:
        build: Makes the model; of a kind that can be pickled, for it is called in a new process.
        case: What to do.
    """
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(measure_here, (build, case, torch.get_num_threads()))


def measure_here(build: Callable[[], nn.Module], case: Case, num_threads: int) -> int:
    """See :func:`peak_memory`; in the process that it starts."""
    torch.set_num_threads(num_threads)
    step = case.prepare(build())
    if case.compiled:
        step()  # so that the compiler's own memory is not counted
    forget_peak(case.device)
    before = bytes_held(case.device)
    for _ in range(2):
        step()
    return peak_bytes(case.device) - before


def forget_peak(device: str) -> None:
    """Begin anew with the most that was ever held."""
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
    else:
        Path('/proc/self/clear_refs').write_text('5')


def bytes_held(device: str) -> int:
    """What the process holds now."""
    return torch.cuda.memory_allocated() if device == 'cuda' else status('VmRSS')


def peak_bytes(device: str) -> int:
    """The most that the process ever held."""
    return torch.cuda.max_memory_allocated() if device == 'cuda' else status('VmHWM')


def status(name: str) -> int:
    """A figure of Linux's account of this process, in bytes."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024
