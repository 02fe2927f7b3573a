"""What a run has logged, read back and drawn."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

# What mmengine logs beside scores when it validates.
NO_SCORES = ('data_time', 'time', 'step')
# What tells a line of training from one of validation.
OF_TRAINING = ('lr', 'loss')


class RunLogError(ValueError):
    """A folder in which no run has logged anything."""


@dataclass
class Curve:
    """Values over steps, ascending."""

    points: dict[int, float] = field(default_factory=dict)

    @property
    def steps(self) -> list[int]:
        return sorted(self.points)

    @property
    def values(self) -> list[float]:
        return [self.points[step] for step in self.steps]

    @property
    def finite(self) -> dict[int, float]:
        """The points that are numbers."""
        return {step: self.points[step] for step in self.steps if math.isfinite(self.points[step])}

    def put(self, step: int, value: float) -> None:
        self.points[step] = value

    def cut(self, step: int) -> None:
        """Forget what is logged from ``step`` on."""
        self.points = {known: value for known, value in self.points.items() if known < step}


@dataclass
class Run:
    """What one run has logged, over all of its sessions: a resumed run logs each in a folder of its own.

    Attributes:
        name: The work dir's name.
        training: Losses, learning rates and the like by name, over iterations.
        scores: Scores of the validations by name, over epochs or iterations.
        epochs: The last epoch that training has logged; 0 where runs go by iterations.
    """

    name: str
    training: dict[str, Curve] = field(default_factory=dict)
    scores: dict[str, Curve] = field(default_factory=dict)
    epochs: int = 0

    @property
    def iterations(self) -> int:
        """The last iteration that was logged."""
        return max((step for curve in self.training.values() for step in curve.points), default=0)

    @property
    def scores_by(self) -> str:
        """What the steps of the scores count: ``'epoch'`` or ``'iteration'``."""
        last = max((step for curve in self.scores.values() for step in curve.points), default=0)
        return 'epoch' if last <= self.epochs else 'iteration'

    def losses(self) -> dict[str, Curve]:
        """The loss, and what it is made of."""
        return {name: curve for name, curve in self.training.items() if 'loss' in name.split('.')[-1]}

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Take a session's entries; what an earlier session logged of the same steps and of later ones goes."""
        training = [entry for entry in entries if any(key in entry for key in OF_TRAINING)]
        scores = [entry for entry in entries if entry not in training]
        for curves, session in ((self.training, training), (self.scores, scores)):
            if session:
                first = min(entry['step'] for entry in session)
                for curve in curves.values():
                    curve.cut(first)
            for entry in session:
                for name, value in numbers(entry):
                    curves.setdefault(name, Curve()).put(entry['step'], value)
        self.epochs = max([self.epochs, *(entry.get('epoch', 0) for entry in training)])


def read_run(work_dir: Path) -> Run:
    """Read what a run has logged into a work dir.

    Raises:
        RunLogError: The folder is missing, or holds no scalars.
    """
    if not work_dir.is_dir():
        raise RunLogError(f'there is no folder {work_dir}; name the work dir of a training, for example work_dirs/demo')
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    run = Run(work_dir.resolve().name)
    for file in files:
        run.add([entry for entry in objects_in(file) if isinstance(entry.get('step'), int)])
    if not run.training and not run.scores:
        inside = sorted({path.parents[2].name for path in work_dir.glob('*/*/vis_data/scalars.json')})
        hint = f'; it holds the runs {", ".join(inside)}' if inside else ', or its training has logged nothing yet'
        raise RunLogError(f'{work_dir} is no work dir of a training{hint}')
    return run


def objects_in(file: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file, one a line; a line that a killed run has not finished is passed over."""
    for line in file.read_text(errors='replace').splitlines():
        with suppress(json.JSONDecodeError):
            found = json.loads(line)
            if isinstance(found, dict):
                yield found


def numbers(entry: dict[str, Any]) -> list[tuple[str, float]]:
    """The values of an entry that are numbers, without those that say when it was written."""
    return [
        (name, float(value))
        for name, value in entry.items()
        if name not in (*NO_SCORES, 'epoch', 'iter') and isinstance(value, int | float)
    ]


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


def latest(work_dir: Path, metric: str) -> float:
    """A score as mmengine has logged it last.

    Raises:
        SystemExit: It never has.
    """
    return latest_entry(work_dir, metric)[metric]


def latest_entry(work_dir: Path, metric: str) -> dict:
    """The last entry with a score: of a validation it has the epoch or iteration as ``step``, of a test nothing.

    Raises:
        SystemExit: There is none.
    """
    entries = [content for content in logged(work_dir) if metric in content]
    if not entries:
        raise SystemExit(f'{work_dir}: no log has a score {metric}')
    return entries[-1]


def logged(work_dir: Path) -> Iterator[dict]:
    """What mmengine has logged as JSON, run by run: a line for each entry, of tests a file.

    A line that a killed run has not finished is passed over.
    """
    for folder in sorted(path for path in work_dir.iterdir() if path.is_dir()):
        for path in [folder / 'vis_data' / 'scalars.json', folder / f'{folder.name}.json']:
            if path.is_file():
                yield from objects_in(path)
