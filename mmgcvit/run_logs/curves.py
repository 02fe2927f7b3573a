"""Curves of runs as one picture: a panel for each quantity, a colour for each run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from .scalars import Curve, Run, RunLogError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
# Of a long curve so many medians are drawn over the points.
MEDIANS = 40
# In COCO's scores these are details of others that are drawn.
DETAILS = ('_s', '_m', '_l', '_50', '_75')


@dataclass
class Panel:
    """One quantity, of all runs that have logged it."""

    title: str
    steps: str
    curves: list[tuple[Run, str, Curve]]


def draw_curves(runs: Sequence[Run], keys: Sequence[str], file: Path) -> None:
    """Draw what runs have logged, beside each other, into a PNG, PDF or SVG file.

    Args:
        runs: Of different names.
        keys: Which quantities, each a panel; without any the loss (of one run its parts too), the norm of the
            gradients, the learning rate, and the scores without their details.
        file: Where to.

    Raises:
        RunLogError: No run has logged a key, matplotlib is missing, or the file's ending is none of a picture.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise RunLogError("curves are drawn by matplotlib, which is not installed: pip install 'matplotlib'") from None
    panels = panels_by_key(runs, keys) if keys else panels_by_default(runs)
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.4 * rows + 0.3), layout='constrained')
    if file.suffix.lstrip('.') not in FigureCanvasAgg(figure).get_supported_filetypes():
        raise RunLogError(f'{file}: curves are written as .png, .pdf or .svg')
    for i, panel in enumerate(panels):
        draw_panel(figure.add_subplot(rows, columns, i + 1), panel, runs)
    if len(runs) > 1:
        figure.legend(*legend_of(figure.axes), loc='outside upper center', ncols=min(len(runs), 4), frameon=False)
    figure.savefig(file, dpi=110)


def panels_by_default(runs: Sequence[Run]) -> list[Panel]:
    """The panels that show how training goes."""
    panels = [panel(runs, 'loss')]
    if len(runs) == 1 and len(runs[0].losses()) > 1:
        (run,) = runs
        parts = [(run, name, curve) for name, curve in run.losses().items() if name != 'loss']
        panels.append(Panel('parts of the loss', 'iteration', parts))
    panels += [panel(runs, 'grad_norm'), panel(runs, 'lr')]
    names = dict.fromkeys(name for run in runs for name in run.scores if not name.endswith(DETAILS))
    panels += [panel(runs, name) for name in names]
    return [each for each in panels if each.curves]


def panels_by_key(runs: Sequence[Run], keys: Sequence[str]) -> list[Panel]:
    """A panel for each key."""
    panels = [panel(runs, key) for key in keys]
    missing = [each.title for each in panels if not each.curves]
    if missing:
        known = sorted({name for run in runs for name in (*run.training, *run.scores)})
        raise RunLogError(f'no run has logged {", ".join(missing)}; what they have: {", ".join(known)}')
    return panels


def panel(runs: Sequence[Run], name: str) -> Panel:
    """The panel of a quantity, without curves where no run has it."""
    training = [(run, '', run.training[name]) for run in runs if name in run.training]
    if training:
        return Panel(name, 'iteration', training)
    scores = [(run, '', run.scores[name]) for run in runs if name in run.scores]
    return Panel(name, scores[0][0].scores_by if scores else '', scores)


def draw_panel(axes: 'Axes', panel: Panel, runs: Sequence[Run]) -> None:
    """Points faint, medians over them strong; short curves as lines with dots. What is not finite is marked below."""
    for i, (run, part, curve) in enumerate(panel.curves):
        colour = f'C{i if part else list(runs).index(run)}'
        steps, values = list(curve.finite), list(curve.finite.values())
        label = part or run.name
        if len(steps) > 2 * MEDIANS:
            axes.plot(steps, values, color=colour, alpha=0.2, linewidth=0.8)
            steps, values = medians(steps, values)
            axes.plot(steps, values, color=colour, label=label)
        else:
            axes.plot(steps, values, color=colour, marker='.', label=label)
        broken = [step for step in curve.steps if step not in curve.finite]
        axes.plot(broken, [0.02] * len(broken), 'x', color=colour, transform=axes.get_xaxis_transform())
    all_finite = all(len(curve.finite) == len(curve.points) for _, _, curve in panel.curves)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.steps if all_finite else f'{panel.steps}  (x: not finite)')
    axes.ticklabel_format(axis='y', scilimits=(-3, 4))
    axes.grid(alpha=0.3)
    if any(part for _, part, _ in panel.curves):
        axes.legend(fontsize='small')


def medians(steps: Sequence[int], values: Sequence[float]) -> tuple[list[int], list[float]]:
    """The middle step and the median of consecutive points."""
    size = -(-len(steps) // MEDIANS)
    starts = range(0, len(steps), size)
    return [steps[min(i + size // 2, len(steps) - 1)] for i in starts], [median(values[i : i + size]) for i in starts]


def legend_of(panels: 'Sequence[Axes]') -> tuple[list, list]:
    """One entry for each run, from whichever panel has it."""
    found = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)
