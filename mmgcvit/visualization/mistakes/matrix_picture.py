"""A confusion matrix as a picture that can be read with ten classes, with eighty and with a thousand."""

import io
from typing import TYPE_CHECKING

import numpy as np

from ...inference import UserError
from .confusion import Confusion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# With more classes the matrix itself is a grey square: only the most confused pairs are drawn. With fewer there is
# room for numbers in it.
MOST_IN_A_MATRIX, MOST_WITH_NUMBERS = 160, 25
PAIRS = 25
INCHES_A_CLASS, SMALLEST, DOTS_PER_INCH = 0.17, 5.0, 110


def drawn_confusion(confusion: Confusion) -> bytes:
    """A PNG file: the matrix, each row by its sum, and the most confused pairs as bars.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("matrices are drawn by matplotlib, which is not installed: pip install 'matplotlib'") from None
    number = len(confusion.names)
    has_matrix = number <= MOST_IN_A_MATRIX
    side = max(SMALLEST, INCHES_A_CLASS * number * (2.2 if number <= MOST_WITH_NUMBERS else 1)) if has_matrix else 0
    figure = Figure(figsize=(side * 1.2 + 6.5, max(side * 1.1, 6.0)), layout='constrained')
    widths = [side * 1.2, 6.5] if has_matrix else [1]
    axes = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    if has_matrix:
        draw_matrix(axes[0], confusion)
    draw_pairs(axes[-1], confusion)
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=DOTS_PER_INCH)
    return file.getvalue()


def draw_matrix(axes: 'Axes', confusion: Confusion) -> None:
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


def draw_pairs(axes: 'Axes', confusion: Confusion) -> None:
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
