"""Tables of ablations: read from YAML, trained row by row with several seeds, reported as Markdown.

The tables are data, configs/ablations/tables.yml. A row's config inherits from the table's unchanged one; what it sets
can be inherited over another config too: other data, other sizes, another schedule.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from runpy import run_path
from statistics import mean, stdev
from typing import Any

import yaml

from ..errors import UserError
from . import format_table

# Scores by their name in a table: the metric in the log, and the factor to what papers print.
METRICS = {
    'top-1': ('accuracy/top1', 1),
    'box AP': ('coco/bbox_mAP', 100),
    'mask AP': ('coco/segm_mAP', 100),
    'mIoU': ('mIoU', 1),
    'accuracy of 3, 7': ('accuracy/3, 7', 1),
    'accuracy of 6, 9': ('accuracy/6, 9', 1),
}


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    key: str  # the name of its folder
    name: str  # its name in the table
    config: Path | None  # at full scale
    published: Sequence[float] | None = None  # one for each metric of the table
    at_digits: Mapping[str, Any] | None = None  # its change at the demo's scale, where the config cannot tell it


@dataclass(frozen=True)
class Table:
    """Rows that differ in one thing each from one config, in the paper's order."""

    key: str
    title: str
    metrics: Sequence[str]  # keys of METRICS
    unchanged: Path | None  # the config that rows differ from, at full scale; None if there are only digits
    rows: Sequence[Row]
    digits: Path | None = None  # the same at the demo's scale


def read_tables(path: Path) -> dict[str, Table]:
    """All tables of a file by name; a row without a config is the unchanged one."""
    configs, tables = path.parent.parent, {}
    for key, entries in yaml.safe_load(path.read_text()).items():
        unchanged, digits = (entries.get(name) and configs / entries[name] for name in ('unchanged', 'digits'))
        rows = []
        for name, row in entries['rows'].items():
            config = configs / row['config'] if 'config' in row else unchanged
            rows.append(Row(name, row['name'], config, row.get('published'), row.get('at_digits')))
        tables[key] = Table(key, entries['title'], entries['metrics'], unchanged, rows, digits)
    return tables


def write_configs(table: Table, data: str, folder: Path) -> dict[str, Path]:
    """The config of each row by its key: its own with ``data='own'``, else one that is written to a folder.

    Args:
        table: The table.
        data: ``'own'``, ``'digits'`` for the demo's scale, or the path of a config whose data, sizes and schedule all
            rows take.
        folder: Where configs are written.

    Raises:
        UserError: The table has no such scale, or a row changes what the other data have of their own.
    """
    if data == 'own' and table.unchanged is not None:
        return {row.key: row.config for row in table.rows}
    base = table.digits if data == 'digits' else Path(data)
    if base is None or (data != 'digits' and table.unchanged is None):
        scales = [*(['own', 'CONFIG'] if table.unchanged else []), *(['digits'] if table.digits else [])]
        raise UserError(f'--data {data}: table {table.key} has --data {" and ".join(scales)} only')
    folder.mkdir(parents=True, exist_ok=True)
    configs = {}
    for row in table.rows:
        change = row.at_digits if data == 'digits' and row.at_digits is not None else read_change(row, table)
        lines = [f'{name} = {pformat(value, width=100, sort_dicts=False)}\n' for name, value in change.items()]
        configs[row.key] = folder / f'{row.key}.py'
        configs[row.key].write_text('\n'.join([f'# {row.name!r}', f'_base_ = {str(base.resolve())!r}\n', *lines]))
    return configs


def read_change(row: Row, table: Table) -> dict[str, Any]:
    """The settings in a row's config file, which inherits all others from the table's unchanged config."""
    if row.config == table.unchanged:
        return {}
    settings = run_path(str(row.config))
    base = settings.pop('_base_')
    # Numbers and tuples at the top are variables of the file.
    change = {key: value for key, value in settings.items() if isinstance(value, (dict, list)) and key[0] != '_'}
    others = sorted(change.keys() - {'custom_imports', 'custom_hooks', 'model'})
    if others or not isinstance(base, str) or (row.config.parent / base).resolve() != table.unchanged.resolve():
        raise UserError(
            f'row {row.key} changes {", ".join(others) or f"{base}, not {table.unchanged}"}: this cannot be applied to '
            'other data; use --data own'
        )
    return change


def read_scores(work_dir: Path, metrics: Sequence[str]) -> dict[str, float]:
    """The scores of a training's last validation, as papers print them.

    Raises:
        UserError: The training has logged no such score.
    """
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'), reverse=True)
    for line in (line for log in logs for line in reversed(log.read_text().splitlines())):
        entry = json.loads(line)
        if all(METRICS[name][0] in entry for name in metrics):
            return {name: entry[METRICS[name][0]] * METRICS[name][1] for name in metrics}
    raise UserError(f'{work_dir} has no log with {" and ".join(METRICS[name][0] for name in metrics)}')


def write_report(table: Table, scores: Mapping[str, Sequence[Mapping[str, float]]], note: str) -> str:
    """The table in Markdown: mean and deviation of the sample over seeds, beside the published scores."""
    published = any(row.published for row in table.rows)
    heads = ['row', 'seeds']
    for name in table.metrics:
        heads += [name, f'{name}, published'] if published else [name]
    lines = []
    for row in table.rows:
        line = [row.name, str(len(scores[row.key]))]
        for number, name in enumerate(table.metrics):
            values = [found[name] for found in scores[row.key]]
            deviation = f' ± {stdev(values):.2f}' if len(values) > 1 else ''
            line.append(f'{mean(values):.2f}{deviation}' if values else '')
            if published:
                line.append(f'{row.published[number]:g}' if row.published else '')
        lines.append(line)
    return f'# {table.title}\n\n{format_table(heads, lines)}\n{note}\n'
