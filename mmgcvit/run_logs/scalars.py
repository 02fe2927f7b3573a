"""The scalars that mmengine writes of a run: ``<work_dir>/<time>/vis_data/scalars.json``, one JSON object a line."""

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
