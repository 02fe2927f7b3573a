"""Which classes are taken for which, counted."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

BACKGROUND = 'background'


class Confused(NamedTuple):
    """A class and what it is taken for.

    Attributes:
        truth: Number of the row.
        predicted: Number of the column, another one.
        count: How often.
        share: Of all that is counted in the row, from 0 to 1.
    """

    truth: int
    predicted: int
    count: int
    share: float


class Confusion:
    """A confusion matrix.

    Args:
        names: Of rows and columns alike.
        counted: What is counted: ``'images'``, ``'pixels'`` or ``'objects'``.

    Attributes:
        counts: (n, n) int64; rows are what is true, columns what is predicted.
    """

    def __init__(self, names: Sequence[str], counted: str) -> None:
        self.names = list(names)
        self.counted = counted
        self.counts = np.zeros((len(names), len(names)), np.int64)

    def add(self, truths: np.ndarray, predicted: np.ndarray) -> None:
        """Count pairs.

        Args:
            truths: (k,) whole numbers from 0, the rows.
            predicted: (k,) likewise, the columns.
        """
        size = len(self.names)
        pairs = truths.astype(np.int64) * size + predicted
        self.counts += np.bincount(pairs, minlength=size * size).reshape(size, size)

    @property
    def shares(self) -> np.ndarray:
        """(n, n) float64: each row by its sum; rows in which nothing is counted are 0."""
        return self.counts / np.maximum(self.counts.sum(1, keepdims=True), 1)

    @property
    def right(self) -> float:
        """The share of all counts that are on the diagonal; 0 where nothing is counted."""
        return float(np.trace(self.counts) / max(self.counts.sum(), 1))

    def most_confused(self, number: int) -> list[Confused]:
        """The pairs of different classes with the highest counts, those first; of equal counts the higher share."""
        counts, shares = self.counts.copy(), self.shares
        np.fill_diagonal(counts, 0)
        rows, columns = np.nonzero(counts)
        order = np.lexsort((columns, rows, -shares[rows, columns], -counts[rows, columns]))[:number]
        return [
            Confused(int(row), int(column), int(counts[row, column]), float(shares[row, column]))
            for row, column in zip(rows[order], columns[order], strict=True)
        ]


def objects(classes: Sequence[str]) -> Confusion:
    """A matrix for objects: a row for what is there and no object, a column for objects that are not found."""
    return Confusion([*classes, BACKGROUND if BACKGROUND not in classes else f'{BACKGROUND} (none)'], 'objects')
