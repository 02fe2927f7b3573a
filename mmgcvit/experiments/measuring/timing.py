"""Timing several backbones in turns, so that what else the machine does falls on all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Timing:
    """Seconds of every call of one backbone, in the order of the rounds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.seconds, percent))

    def ratio_to(self, other: 'Timing') -> float:
        """How many times as fast the other is: the median over rounds, each compared with its own."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.seconds, other.seconds, strict=True))


def time_side_by_side(steps: Mapping[str, Callable[[], None]], rounds: int, warmup: int = 2) -> dict[str, Timing]:
    """Call each step once a round, the first in turns.

    Args:
        steps: What to time, by name.
        rounds: How often.
        warmup: How often before, untimed.
    """
    names = list(steps)
    for name in names:
        for _ in range(warmup):
            steps[name]()
    seconds = {name: [] for name in names}
    for turn in range(rounds if names else 0):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            began = time.perf_counter()
            steps[name]()
            seconds[name].append(time.perf_counter() - began)
    return {name: Timing(tuple(found)) for name, found in seconds.items()}
