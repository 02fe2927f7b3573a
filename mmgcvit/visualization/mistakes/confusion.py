"""Which classes are taken for which, counted, and a picture of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BACKGROUND = 'background'
# With more classes the matrix itself is a grey square: only the most confused pairs are drawn. With fewer there is
# room for numbers in it.
MOST_IN_A_MATRIX, MOST_WITH_NUMBERS = 160, 25
PAIRS = 25
INCHES_A_CLASS, SMALLEST = 0.17, 5.0


class Confused(NamedTuple):
    """A class and what it is taken for: the numbers of row and column, how often, and the share of the row."""

    truth: int
    predicted: int
    count: int
    share: float


class Confusion:
    """A confusion matrix.

    Attributes:
        names: Of rows and columns alike.
        counted: What is counted: ``'images'``, ``'pixels'`` or ``'objects'``.
        counts: (n, n) int64; rows are what is true, columns what is predicted.
    """

    def __init__(self, names: Sequence[str], counted: str) -> None:
        self.names = list(names)
        self.counted = counted
        self.counts = np.zeros((len(names), len(names)), np.int64)

    def add(self, truths: np.ndarray, predicted: np.ndarray) -> None:
        """Count pairs of a row and a column: two (k,) whole numbers from 0."""
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


def draw_confusion(confusion: Confusion) -> Figure:
    """The matrix, each row by its sum, and the most confused pairs as bars; legible with 10, 80 and 1000 classes."""
    number = len(confusion.names)
    has_matrix = number <= MOST_IN_A_MATRIX
    side = max(SMALLEST, INCHES_A_CLASS * number * (2.2 if number <= MOST_WITH_NUMBERS else 1)) if has_matrix else 0
    figure = Figure(figsize=(side * 1.2 + 6.5, max(side * 1.1, 6.0)), layout='constrained')
    widths = [side * 1.2, 6.5] if has_matrix else [1]
    axes = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    if has_matrix:
        draw_matrix(axes[0], confusion)
    draw_pairs(axes[-1], confusion)
    return figure


def draw_matrix(axes: Axes, confusion: Confusion) -> None:
    """Shades for shares of rows, and numbers in per cent where there is room."""
    names, shares = confusion.names, confusion.shares
    axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    size = 9 if len(names) <= MOST_WITH_NUMBERS else 6
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set_xlabel('predicted')
    axes.set_ylabel('truth')
    axes.set_title(f'{confusion.counted}: shares of each row, %')
    if len(names) > MOST_WITH_NUMBERS:
        return
    for row, column in np.argwhere(confusion.counts):
        share = shares[row, column]
        words = f'{100 * share:.0f}' if share >= 0.005 else '<1'
        axes.text(column, row, words, ha='center', va='center', fontsize=8, color='white' if share > 0.5 else 'black')


def draw_pairs(axes: Axes, confusion: Confusion) -> None:
    """Bars, the most confused pair on top."""
    names, pairs = confusion.names, confusion.most_confused(PAIRS)
    axes.set_title(f'most confused, in {confusion.counted}')
    if not pairs:
        axes.text(0.5, 0.5, 'nothing is confused', ha='center', va='center', transform=axes.transAxes)
        axes.set_axis_off()
        return
    axes.barh(range(len(pairs)), [pair.count for pair in pairs], color='tab:blue')
    axes.set_yticks(range(len(pairs)), [f'{names[pair.truth]} → {names[pair.predicted]}' for pair in pairs], fontsize=9)
    axes.set_ylim(PAIRS - 0.5, -0.5)
    for place, pair in enumerate(pairs):
        axes.annotate(
            f' {pair.count} ({pair.share:.0%})', (pair.count, place), va='center', fontsize=8, annotation_clip=False
        )
    axes.set_xlim(0, 1.3 * max(pair.count for pair in pairs))
    axes.spines[['top', 'right']].set_visible(False)
