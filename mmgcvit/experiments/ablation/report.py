"""What came of a table: mean and deviation over seeds, in Markdown beside the published scores."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import NamedTuple

from .runs import Run, result_of
from .tables import Row, Table

# Scores of a row by metric, one for each seed that is finished.
Scores = Mapping[str, Mapping[str, Sequence[float]]]


class Summary(NamedTuple):
    """Scores over seeds.

    Attributes:
        mean: Their mean.
        deviation: The deviation of the sample (divided by n - 1); None of a single one.
    """

    mean: float
    deviation: float | None

    def __str__(self) -> str:
        return f'{self.mean:.2f}' if self.deviation is None else f'{self.mean:.2f} ± {self.deviation:.2f}'


def summary(values: Sequence[float]) -> Summary | None:
    """Mean and deviation, None where there is nothing."""
    return Summary(mean(values), stdev(values) if len(values) > 1 else None) if values else None


def scores_of(table: Table, runs: Sequence[Run]) -> dict[str, dict[str, list[float]]]:
    """The scores of the trainings that are finished, by row and metric."""
    scores: dict[str, dict[str, list[float]]] = {row.key: {name: [] for name in table.metrics} for row in table.rows}
    for run in runs:
        result = result_of(run)
        for name in table.metrics if result is not None else ():
            scores[run.row.key][name].append(result.scores[name])
    return scores


def markdown(table: Table, scores: Scores, note: str) -> str:
    """The table, with a note below it."""
    heads = ['row', 'seeds']
    for name in table.metrics:
        heads += [name, f'{name}, published']
    lines = [heads, ['---'] * len(heads), *(cells_of(row, table, scores[row.key]) for row in table.rows)]
    body = ''.join(f'| {" | ".join(line)} |\n' for line in lines)
    return f'# {table.title}\n\n{body}\n{note}\n'


def cells_of(row: Row, table: Table, scores: Mapping[str, Sequence[float]]) -> list[str]:
    """One line of the table; a row without a finished training has empty cells."""
    cells = [row.name, str(len(scores[table.metrics[0]]))]
    for number, name in enumerate(table.metrics):
        cells += [str(summary(scores[name]) or ''), f'{row.published[number]:g}' if row.published else '']
    return cells
