"""Draw a confusion matrix, and a detector's precision and recall, in matplotlib."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ...predict.thresholds import ScoreThresholds
from .detection_curves import Curve, DetectionCurves
from .figures import make_legend_label

MAX_WITH_NUMBERS = 25  # a confusion matrix with more classes is drawn without numbers
MAX_COUNT = 9999  # a confusion matrix with a higher count has percentages
MAX_IN_LEGEND = 12  # with more classes, the precision-recall curves have no legend


def draw_confusion_matrix(
    matrix: NDArray[np.int64], totals: NDArray[np.int64], names: Sequence[str], counted: str
) -> Figure:
    """Draw a confusion matrix (n, n): its rows divided by ``totals`` (n,) as colours, its counts of
    what ``counted`` says (percentages if any reaches 10,000) as text.
    """
    shares = matrix / np.maximum(totals, 1)[:, None]
    side = np.clip(0.35 * len(names), 6, 24)
    figure = Figure(figsize=(1.15 * side, side), layout='constrained')
    axes = figure.add_subplot(xlabel='predicted', ylabel='ground truth', title=counted)
    colours = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    figure.colorbar(colours, ax=axes, shrink=0.8, label='row-normalised')
    font_size = np.clip(43 * side / len(names), 2, 9)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=font_size)
    axes.set_yticks(range(len(names)), names, fontsize=font_size)
    if len(names) > MAX_WITH_NUMBERS:
        return figure
    for row, column in np.argwhere(matrix):
        count = matrix[row, column]
        share = shares[row, column]
        number = f'{count:,}' if matrix.max() <= MAX_COUNT else f'{share:.0%}'
        colour = 'white' if share > 0.5 else 'black'
        axes.text(column, row, number, ha='center', va='center', fontsize=font_size, color=colour)
    return figure


def draw_detection_curves(
    curves: DetectionCurves, classes: Sequence[str], thresholds: ScoreThresholds
) -> Figure:
    """Draw precision by recall, F1 by confidence threshold, and lines at the best threshold and the
    given one. A dot is at the given threshold of each class that has an own one.
    """
    figure = Figure(figsize=(13, 5.2), layout='constrained')
    left, right = figure.subplots(1, 2)
    left.set(xlabel='recall', ylabel='precision', title='Precision and recall at IoU 0.5')
    right.set(xlabel='confidence threshold', ylabel='F1', title='F1 at IoU 0.5')
    overall = curves.overall
    draw_curve(left, right, overall, label='all objects', linewidth=2.5, color='black')
    for name, curve, ap50 in zip(classes, curves.by_class, curves.boxes.ap50, strict=True):
        score = 'no objects' if np.isnan(ap50) else f'AP50 {ap50:.2f}'
        label = make_legend_label(f'{name}: {score}')
        (line,) = draw_curve(left, right, curve, label=label, linewidth=1)
        if name in thresholds.by_class:
            at = thresholds.by_class[name]
            right.plot(at, curve.compute_f1_at(at), 'o', color=line.get_color(), markersize=4)
    best = overall.best_threshold
    highest = f'highest F1 of all objects: {overall.f1.max(initial=0):.2f} at {best:.2f}'
    in_use = f'threshold in use: {thresholds.overall:.2f}'
    if thresholds.by_class:
        in_use += ' (dots: those of single classes)'
    lines = [
        right.axvline(best, linestyle=':', color='black', label=highest),
        right.axvline(thresholds.overall, linestyle='--', color='grey', label=in_use),
    ]
    for axes in (left, right):
        axes.set(xlim=(0, 1), ylim=(0, 1.05))
        axes.grid(alpha=0.3)
    right.legend(handles=lines, fontsize='small')
    if len(classes) <= MAX_IN_LEGEND:
        left.legend(fontsize='small')
    return figure


def draw_curve(left: Axes, right: Axes, curve: Curve, **style: Any) -> list[Line2D]:
    """Draw precision by recall on the left, and F1 by confidence threshold on the right.

    Return the line on the right.
    """
    recall = curve.num_correct / max(1, curve.num_objects)
    left.plot(recall, curve.num_correct / curve.num_detections, **style)
    # From the highest score to 0. F1 is constant between two scores.
    scores = np.append(curve.scores, 0 * curve.scores[-1:])
    return right.step(scores, np.append(curve.f1, curve.f1[-1:]), where='post', **style)
