"""The plot of a table: rows below each other, means with error bars, published scores as other markers."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .report import Scores, summary
from .tables import Table, TableError

MEASURED, PUBLISHED = '#0b62a4', '#c7522a'


def check_can_draw() -> None:
    """Refuse before hours of training what would fail after them.

    Raises:
        TableError: The package that draws is missing; the message says how to get it.
    """
    if find_spec('matplotlib') is None:
        raise TableError("the plot is drawn by matplotlib, not installed here: pip install 'mmgcvit[benchmark]'")


def draw(path: Path, table: Table, scores: Scores, same_scale: bool) -> None:
    """Draw a table that has at least one finished training.

    Args:
        path: The picture.
        table: The table.
        scores: Its scores.
        same_scale: Whether published scores are of the same data, and so stand on the same axis. Otherwise they have an
            axis of their own beside it.
    """
    from matplotlib.figure import Figure

    published = any(row.published for row in table.rows)
    columns = len(table.metrics) * (2 if published and not same_scale else 1)
    figure = Figure(figsize=(3 + 3.2 * columns, 1.3 + 0.42 * len(table.rows)), layout='constrained')
    axes = figure.subplots(1, columns, sharey=True, squeeze=False)[0].tolist()
    for number, name in enumerate(table.metrics):
        axis = axes.pop(0)
        draw_measured(axis, table, scores, name)
        if published:
            beside = axis if same_scale else axes.pop(0)
            draw_published(beside, table, number)
            if not same_scale:
                beside.set_xlabel(f'{name}, published')
                beside.grid(axis='x', alpha=0.3)
        axis.set_xlabel(name if same_scale else f'{name} here, mean ± deviation')
        axis.grid(axis='x', alpha=0.3)
        if same_scale:
            axis.legend(loc='best', fontsize='small')
        axis.set_yticks(range(len(table.rows)), [row.name for row in table.rows])
        axis.set_ylim(len(table.rows) - 0.5, -0.5)
    figure.suptitle(table.title, fontsize='medium')
    figure.savefig(path, dpi=110)


def draw_measured(axis: Any, table: Table, scores: Scores, name: str) -> None:
    """Each seed as a small dot, and over them mean and deviation."""
    for place, row in enumerate(table.rows):
        values: Sequence[float] = scores[row.key][name]
        found = summary(values)
        if found is None:
            continue
        axis.plot(values, [place + 0.22] * len(values), '.', color=MEASURED, alpha=0.45, markersize=5)
        label = 'here, mean ± deviation' if place == 0 else None
        bar = {'fmt': 'o', 'color': MEASURED, 'capsize': 4, 'markersize': 6, 'label': label}
        axis.errorbar([found.mean], [place], xerr=found.deviation, **bar)


def draw_published(axis: Any, table: Table, number: int) -> None:
    """The published scores of one metric."""
    places = [place for place, row in enumerate(table.rows) if row.published]
    values = [table.rows[place].published[number] for place in places]
    axis.plot(values, places, 'D', color=PUBLISHED, markersize=6, label='published')
