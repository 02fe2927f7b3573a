"""Ablations: the tables, what their rows change in a config, the trainings, and what came of them.

The tables are data, configs/ablations/tables.yml: nothing here knows a network, and of a table only metrics. A row's
change is read off its own config, and can be put on another one: other data, other sizes, another schedule. Of
trainings it is known which are finished and how long the others take. The report is the table in Markdown, mean and
deviation over seeds beside the published scores, and a plot of it.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from pprint import pformat
from statistics import mean, stdev
from typing import Any, NamedTuple

import yaml

from ..errors import UserError
from ..files import write_text
from . import table as in_markdown

REPLACE = '_delete_'
# What a row may change for the change to mean the same on any data.
PORTABLE = ('custom_imports', 'custom_hooks', 'model')


class Metric(NamedTuple):
    """A score of a table: what the host calls it, and what makes of its number the one that papers print."""

    key: str
    times: float = 1


METRICS = {
    'top-1': Metric('accuracy/top1'),
    'box AP': Metric('coco/bbox_mAP', 100),
    'mask AP': Metric('coco/segm_mAP', 100),
    'mIoU': Metric('mIoU'),
    'accuracy of 3, 7': Metric('accuracy/3, 7'),
    'accuracy of 6, 9': Metric('accuracy/6, 9'),
}


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    key: str  # what its folder is called
    name: str  # what the table calls it
    config: Path | None  # at full scale
    published: Sequence[float] | None = None  # one for each metric of the table
    at_digits: Mapping[str, Any] | None = None  # sizes at the demo's scale, where its config cannot tell the change


@dataclass(frozen=True)
class Table:
    """A table of rows that differ in one thing each from one config, in the paper's order."""

    key: str  # what one calls it on the command line
    title: str
    metrics: Sequence[str]  # keys of METRICS
    unchanged: Path | None  # the config that rows differ from, at full scale; None in a table of digits alone
    rows: Sequence[Row]
    digits: Path | None = None  # the same at the demo's scale


def read_tables(path: Path) -> dict[str, Table]:
    """All tables of a file, by name; configs are named relative to the folder above the file's.

    A row without a config is the unchanged one.
    """
    if not path.is_file():
        raise UserError(f'there are no tables: {path} is missing; it belongs to the ablations of the repository')
    configs, tables = path.parent.parent, {}
    for key, entries in yaml.safe_load(path.read_text()).items():
        unchanged, digits = (entries.get(name) and configs / entries[name] for name in ('unchanged', 'digits'))
        rows = []
        for name, row in entries['rows'].items():
            config = configs / row['config'] if 'config' in row else unchanged
            rows.append(Row(name, row['name'], config, row.get('published'), row.get('at_digits')))
        tables[key] = Table(key, entries['title'], entries['metrics'], unchanged, rows, digits)
    return tables


def change_of(row: Row, table: Table, at_digits: bool) -> dict[str, Any]:
    """What a row changes, to be inherited over another config, which must leave data and schedule as they are."""
    if table.unchanged is None or (at_digits and row.at_digits is not None):
        return dict(row.at_digits or {})
    from mmengine.config import Config

    own, unchanged = (Config.fromfile(path).to_dict() for path in (row.config, table.unchanged))
    # Numbers and tuples at the top are variables of the files, used in what follows them.
    change = {name: value for name, value in difference(own, unchanged).items() if isinstance(value, (dict, list))}
    others = sorted(set(change) - set(PORTABLE))
    if others:
        raise UserError(
            f'row {row.key} changes {", ".join(others)}, which other data have of their own; train the table with '
            '--data own'
        )
    return change


def difference(config: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What must be inherited over ``other`` to get ``config``; keys at the top that only ``other`` has stay.

    Mappings are compared key by key, all else as a whole.
    """
    changed = {}
    for key, value in config.items():
        before = other.get(key)
        if key in other and value == before:
            continue
        if not isinstance(value, Mapping):
            changed[key] = value
        elif isinstance(before, Mapping) and set(before) <= set(value):
            changed[key] = difference(value, before)
        else:
            changed[key] = {REPLACE: True, **value}
    return changed


def onto(change: Mapping[str, Any], base: Mapping[str, Any], where: str = '') -> dict[str, Any]:
    """A change as it is inherited over one config: what is replaced there says so, and nothing else does.

    ``where`` is what a message begins with: a single word in the config has no attributes that could be changed.
    """
    put = {}
    for key, value in change.items():
        before = base.get(key)
        if not isinstance(value, Mapping) or (key in base and REPLACE in value):
            put[key] = value
        elif key not in base:
            # mmengine takes the word out only where there is something to replace.
            put[key] = onto({name: content for name, content in value.items() if name != REPLACE}, {}, where)
        elif isinstance(before, Mapping):
            put[key] = onto(value, before, f'{where}{key}.')
        else:
            raise UserError(
                f'{where}{key} is {before!r}, of which {", ".join(value)} cannot be changed; write it out as a dict '
                'in a config that inherits from this one'
            )
    return put


def write_config(path: Path, row: Row, change: Mapping[str, Any], base: Path) -> None:
    """Write the config of a row over another one's data, sizes and schedule."""
    settings = [f'{name} = {pformat(value, width=100, sort_dicts=False)}\n' for name, value in change.items()]
    head = f'# {row.name!r}: what this row changes, and all else of the other config.\n'
    path.write_text('\n'.join([head, f'_base_ = {str(base.resolve())!r}\n', *settings]))


# The files by which a training tells of its end, and a table of the configs that it was begun with.
FINISHED = 'finished.json'
BEGUN = 'begun.json'
MEASURED, PUBLISHED = '#0b62a4', '#c7522a'
# Scores of a row by metric, one for each seed that is finished.
Scores = Mapping[str, Mapping[str, Sequence[float]]]


class Run(NamedTuple):
    """One training: of a row, with a seed, in a work dir."""

    row: Row
    seed: int
    folder: Path


@dataclass(frozen=True)
class Result:
    """What came of a training: scores by metric, as papers print them, and the seconds of the call that ended it."""

    scores: dict[str, float]
    seconds: float


def runs_of(table: Table, seeds: int, work_dir: Path) -> list[Run]:
    """All trainings of a table: seed by seed over its rows, so that after each seed the table is complete."""
    return [Run(row, seed, work_dir / f'seed_{seed}' / row.key) for seed in range(seeds) for row in table.rows]


def result_of(run: Run) -> Result | None:
    """What came of a training, None where it has not come to its end."""
    path = run.folder / FINISHED
    return Result(**json.loads(path.read_text())) if path.is_file() else None


def note_finished(run: Run, result: Result) -> None:
    """Note that a training has come to its end."""
    write_text(run.folder / FINISHED, json.dumps(asdict(result), indent=1))


def seconds_left(runs: Sequence[Run]) -> float | None:
    """How long the trainings that are not finished will take, by those that are; None where none is.

    A row that has been trained with another seed takes as long again, one that has not as long as the mean.
    """
    results = [(run.row.key, result_of(run)) for run in runs]
    took: dict[str, list[float]] = {}
    for key, result in results:
        if result is not None:
            took.setdefault(key, []).append(result.seconds)
    if not took:
        return None
    usual = mean(second for seconds in took.values() for second in seconds)
    return sum(mean(took.get(key, [usual])) for key, result in results if result is None)


def folders_of_seeds(work_dir: Path) -> Iterator[Path]:
    """The folders that hold trainings."""
    return (path for path in work_dir.glob('seed_*') if re.fullmatch(r'seed_\d+', path.name) and path.is_dir())


def is_used(work_dir: Path) -> bool:
    """Whether an earlier call has begun a table in a folder."""
    return (work_dir / BEGUN).is_file() or any(folders_of_seeds(work_dir))


def remove_runs(work_dir: Path) -> None:
    """Remove what an earlier call has trained; nothing where none says that it has begun there."""
    found = [*folders_of_seeds(work_dir)]
    if found and not (work_dir / BEGUN).is_file():
        raise UserError(f'{found[0]} is of no table ({work_dir / BEGUN} is missing); remove it, or take another folder')
    for folder in found:
        shutil.rmtree(folder)
    (work_dir / BEGUN).unlink(missing_ok=True)


def check_same(work_dir: Path, digests: Mapping[str, str]) -> None:
    """Note the configs that a table is begun with, by their digests, or compare them with those noted."""
    path = work_dir / BEGUN
    before = json.loads(path.read_text()) if path.is_file() else {}
    other = [key for key, digest in digests.items() if before.get(key, digest) != digest]
    if other or (before and set(before) != set(digests)):
        raise UserError(
            f'{work_dir} was begun with other configs ({", ".join(other) or "other rows"}), and its scores would be of '
            'both; begin anew with --overwrite, or in another folder (--work-dir)'
        )
    write_text(path, json.dumps(dict(digests), indent=1))


class Summary(NamedTuple):
    """Scores over seeds: their mean, and the deviation of the sample (divided by n - 1), None of a single one."""

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
    """The table, with a note below it; a row without a finished training has empty cells."""
    published = any(row.published for row in table.rows)
    heads = ['row', 'seeds']
    for name in table.metrics:
        heads += [name, f'{name}, published'] if published else [name]
    lines = []
    for row in table.rows:
        found = scores[row.key]
        line = [row.name, str(len(found[table.metrics[0]]))]
        for number, name in enumerate(table.metrics):
            line.append(str(summary(found[name]) or ''))
            if published:
                line.append(f'{row.published[number]:g}' if row.published else '')
        lines.append(line)
    return f'# {table.title}\n\n{in_markdown(heads, lines)}\n{note}\n'


def draw(path: Path, table: Table, scores: Scores, same_scale: bool) -> None:
    """Draw a table that has at least one finished training: rows below each other, means with error bars.

    Published scores of the same scale, which are of the same data, stand on the same axis, others on one beside it.
    """
    from matplotlib.figure import Figure

    published = [place for place, row in enumerate(table.rows) if row.published]
    apart = bool(published) and not same_scale
    columns = len(table.metrics) * (1 + apart)
    figure = Figure(figsize=(3 + 3.2 * columns, 1.3 + 0.42 * len(table.rows)), layout='constrained')
    axes = iter(figure.subplots(1, columns, sharey=True, squeeze=False)[0])
    for number, name in enumerate(table.metrics):
        axis = next(axes)
        axis.set_xlabel(name if same_scale else f'{name} here, mean ± deviation')
        axis.grid(axis='x', alpha=0.3)
        # Each seed as a small dot, and over them mean and deviation.
        for place, row in enumerate(table.rows):
            values = scores[row.key][name]
            found = summary(values)
            if found is None:
                continue
            axis.plot(values, [place + 0.22] * len(values), '.', color=MEASURED, alpha=0.45, markersize=5)
            label = 'here, mean ± deviation' if place == 0 else None
            bar = {'fmt': 'o', 'color': MEASURED, 'capsize': 4, 'markersize': 6, 'label': label}
            axis.errorbar([found.mean], [place], xerr=found.deviation, **bar)
        axis.set_yticks(range(len(table.rows)), [row.name for row in table.rows])
        axis.set_ylim(len(table.rows) - 0.5, -0.5)
        if apart:
            beside = next(axes)
            beside.set_xlabel(f'{name}, published')
            beside.grid(axis='x', alpha=0.3)
        if published:
            values = [table.rows[place].published[number] for place in published]
            place = beside if apart else axis
            place.plot(values, published, 'D', color=PUBLISHED, markersize=6, label='published')
        if same_scale:
            axis.legend(loc='best', fontsize='small')
    figure.suptitle(table.title, fontsize='medium')
    figure.savefig(path, dpi=110)
