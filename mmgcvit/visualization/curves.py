"""What trainings have logged: read back as curves, and drawn."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..errors import UserError
from .drawing import save

# What mmengine logs beside scores when it validates, and what says when.
NO_SCORES = ('data_time', 'time', 'step', 'epoch', 'iter')
# What tells a line of training from one of validation.
OF_TRAINING = ('lr', 'loss')
COLUMNS = 3
# Of a long curve so many medians are drawn over the points.
MEDIANS = 40
# In COCO's scores these are details of others that are drawn.
DETAILS = ('_s', '_m', '_l', '_50', '_75')


# Values by their steps.
Curve = dict[int, float]


@dataclass
class Run:
    """What one run has logged, over all of its sessions: a resumed run logs each in a folder of its own."""

    name: str  # the work dir's
    training: dict[str, Curve] = field(default_factory=dict)  # losses, learning rates and the like, over iterations
    scores: dict[str, Curve] = field(default_factory=dict)  # of the validations, over epochs or iterations
    epochs: int = 0  # the last that training has logged; 0 where runs go by iterations

    @property
    def iterations(self) -> int:
        """The last iteration that was logged."""
        return last_step(self.training)

    @property
    def scores_by(self) -> str:
        """What the steps of the scores count: ``'epoch'`` or ``'iteration'``."""
        return 'epoch' if last_step(self.scores) <= self.epochs else 'iteration'

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Take a session's entries; what an earlier session logged of the same steps and of later ones goes."""
        training = [entry for entry in entries if any(key in entry for key in OF_TRAINING)]
        scores = [entry for entry in entries if entry not in training]
        for curves, session in ((self.training, training), (self.scores, scores)):
            first = min((entry['step'] for entry in session), default=math.inf)
            for curve in curves.values():
                for step in [step for step in curve if step >= first]:
                    del curve[step]
            for entry in session:
                for name, value in entry.items():
                    if name not in NO_SCORES and isinstance(value, int | float):
                        curves.setdefault(name, {})[entry['step']] = float(value)
        self.epochs = max([self.epochs, *(entry.get('epoch', 0) for entry in training)])


def last_step(curves: dict[str, Curve]) -> int:
    return max((step for curve in curves.values() for step in curve), default=0)


def finite(curve: Curve) -> Curve:
    """The points that are numbers, ascending."""
    return {step: value for step, value in sorted(curve.items()) if math.isfinite(value)}


def read_run(work_dir: Path) -> Run:
    """What a run has logged into a work dir."""
    if not work_dir.is_dir():
        raise UserError(f'there is no folder {work_dir}; name the work dir of a training, for example work_dirs/demo')
    run = Run(work_dir.resolve().name)
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        run.add([entry for entry in objects_in(file) if isinstance(entry.get('step'), int)])
    if not run.training and not run.scores:
        inside = sorted({path.parents[2].name for path in work_dir.glob('*/*/vis_data/scalars.json')})
        hint = f'; it holds the runs {", ".join(inside)}' if inside else ', or its training has logged nothing yet'
        raise UserError(f'{work_dir} is no work dir of a training{hint}')
    return run


def latest_entry(work_dir: Path, metric: str) -> dict[str, Any]:
    """The last entry with a score: of a validation it has the epoch or iteration as ``step``, of a test nothing."""
    entries = []
    # Run by run; a validation's are lines of one file, a test's a file.
    for folder in sorted(path for path in work_dir.iterdir() if path.is_dir()):
        for path in (folder / 'vis_data' / 'scalars.json', folder / f'{folder.name}.json'):
            entries += [entry for entry in objects_in(path) if metric in entry] if path.is_file() else []
    if not entries:
        raise UserError(f'{work_dir}: no log has a score {metric}')
    return entries[-1]


def objects_in(file: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file, one a line; a line that a killed run has not finished is passed over."""
    for line in file.read_text(errors='replace').splitlines():
        with suppress(json.JSONDecodeError):
            found = json.loads(line)
            if isinstance(found, dict):
                yield found


class Panel(NamedTuple):
    """One quantity."""

    title: str
    steps: str
    curves: list[tuple[Run, str, Curve]]  # with the run, and of parts of a loss the part's name


def draw_curves(runs: Sequence[Run], keys: Sequence[str], file: Path) -> None:
    """Draw what runs of different names have logged, a panel for each key, into a file; see :func:`panels_of`."""
    panels = panels_of(runs, keys)
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.4 * rows + 0.3), layout='constrained')
    for i, panel in enumerate(panels):
        draw_panel(figure.add_subplot(rows, columns, i + 1), panel, runs)
    if len(runs) > 1:
        lines = [Line2D([], [], color=f'C{number}', label=run.name) for number, run in enumerate(runs)]
        figure.legend(handles=lines, loc='outside upper center', ncols=min(len(runs), 4), frameon=False)
    save(figure, file)


def panels_of(runs: Sequence[Run], keys: Sequence[str]) -> list[Panel]:
    """A panel for each key, or those that show how training goes: loss, gradients, learning rate, main scores."""
    if keys:
        panels = [panel_of(runs, key) for key in keys]
        missing = [panel.title for panel in panels if not panel.curves]
        if missing:
            known = sorted({name for run in runs for name in (*run.training, *run.scores)})
            raise UserError(f'no run has logged {", ".join(missing)}; what they have: {", ".join(known)}')
        return panels
    panels = [panel_of(runs, 'loss')]
    if len(runs) == 1:
        losses = [(name, curve) for name, curve in runs[0].training.items() if 'loss' in name.split('.')[-1]]
        parts = [(runs[0], name, curve) for name, curve in losses if name != 'loss']
        panels.append(Panel('parts of the loss', 'iteration', parts if len(losses) > 1 else []))
    scores = dict.fromkeys(name for run in runs for name in run.scores if not name.endswith(DETAILS))
    panels += [panel_of(runs, name) for name in ('grad_norm', 'lr', *scores)]
    return [panel for panel in panels if panel.curves]


def panel_of(runs: Sequence[Run], name: str) -> Panel:
    """The panel of a quantity, without curves where no run has it."""
    training = [(run, '', run.training[name]) for run in runs if name in run.training]
    if training:
        return Panel(name, 'iteration', training)
    scores = [(run, '', run.scores[name]) for run in runs if name in run.scores]
    return Panel(name, scores[0][0].scores_by if scores else '', scores)


def draw_panel(axes: Axes, panel: Panel, runs: Sequence[Run]) -> None:
    """Points faint, medians over them strong; short curves as lines with dots. What is not finite is marked below."""
    all_finite = True
    for i, (run, part, curve) in enumerate(panel.curves):
        colour = f'C{i if part else list(runs).index(run)}'
        points = finite(curve)
        steps, values = list(points), list(points.values())
        label = part or run.name
        if len(steps) > 2 * MEDIANS:
            axes.plot(steps, values, color=colour, alpha=0.2, linewidth=0.8)
            axes.plot(*medians(steps, values), color=colour, label=label)
        else:
            axes.plot(steps, values, color=colour, marker='.', label=label)
        broken = sorted(set(curve) - set(steps))
        axes.plot(broken, [0.02] * len(broken), 'x', color=colour, transform=axes.get_xaxis_transform())
        all_finite &= not broken
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
