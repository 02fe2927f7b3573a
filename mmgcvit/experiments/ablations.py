"""Read ablation tables from YAML, write the configs of their rows, and report scores over seeds as Markdown.

The tables are in configs/ablations/tables.yml. A row's config inherits from the table's baseline config and has the
paper's data and sizes. The row's changes can also be applied to another config, for example to one of the demo.
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

# Metrics by their name in a table: the key in the log, and the factor from the logged value to the printed one.
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
    """A row of an ablation table."""

    key: str  # its key in tables.yml, and the name of its work dir
    name: str  # the text that the table shows
    config: Path | None  # its config, with the paper's data and sizes
    published: Sequence[float] | None = None  # one score for each metric of the table
    at_digits: Mapping[str, Any] | None = None  # its changes to the demo's config; None: those of ``config``


@dataclass(frozen=True)
class Table:
    """An ablation table, with the rows in the paper's order. Each row is a change of the baseline config."""

    key: str
    title: str
    metrics: Sequence[str]  # keys of METRICS
    baseline: Path | None  # the baseline config; None if the table has only ``digits``
    rows: Sequence[Row]
    digits: Path | None = None  # the baseline config for the demo's data and sizes


def read_tables(path: Path) -> dict[str, Table]:
    """Read the tables of a YAML file and return them by key. A row without a config is the baseline."""
    configs, tables = path.parent.parent, {}
    for key, entries in yaml.safe_load(path.read_text()).items():
        baseline, digits = (entries.get(name) and configs / entries[name] for name in ('baseline', 'digits'))
        rows = []
        for name, row in entries['rows'].items():
            config = configs / row['config'] if 'config' in row else baseline
            rows.append(Row(name, row['name'], config, row.get('published'), row.get('at_digits')))
        tables[key] = Table(key, entries['title'], entries['metrics'], baseline, rows, digits)
    return tables


def write_configs(table: Table, data: str, folder: Path) -> dict[str, Path]:
    """Return each row's config path by the row's key. If ``data`` is not ``'own'``, write the configs first.

    Args:
        table: The table.
        data: ``'own'`` for each row's own config, ``'digits'`` for the demo's data and sizes, or the path of a config
            whose data, sizes and schedule all rows use.
        folder: The folder to write the configs to.

    Raises:
        UserError: The table does not support this ``data``, or a row changes more than the model.
    """
    if data == 'own' and table.baseline is not None:
        return {row.key: row.config for row in table.rows}
    base = table.digits if data == 'digits' else Path(data)
    if base is None or (data != 'digits' and table.baseline is None):
        choices = [*(['own', 'CONFIG'] if table.baseline else []), *(['digits'] if table.digits else [])]
        raise UserError(f'table {table.key} does not support --data {data}. Use --data {" or ".join(choices)}')
    folder.mkdir(parents=True, exist_ok=True)
    configs = {}
    for row in table.rows:
        changes = row.at_digits if data == 'digits' and row.at_digits is not None else read_changes(row, table)
        lines = [f'{name} = {pformat(value, width=100, sort_dicts=False)}\n' for name, value in changes.items()]
        configs[row.key] = folder / f'{row.key}.py'
        configs[row.key].write_text('\n'.join([f'# {row.name!r}', f'_base_ = {str(base.resolve())!r}\n', *lines]))
    return configs


def read_changes(row: Row, table: Table) -> dict[str, Any]:
    """Return the settings that a row's config file changes, without those that it inherits from the baseline config.

    Raises:
        UserError: The file changes more than the model, or inherits from a config that is not the baseline.
    """
    if row.config == table.baseline:
        return {}
    settings = run_path(str(row.config))
    base = settings.pop('_base_')
    # Top-level values that are not dicts or lists are variables of the file, not settings.
    changes = {key: value for key, value in settings.items() if isinstance(value, (dict, list)) and key[0] != '_'}
    unsupported = sorted(changes.keys() - {'custom_imports', 'custom_hooks', 'model'})
    if unsupported or not isinstance(base, str) or (row.config.parent / base).resolve() != table.baseline.resolve():
        problem = f'changes {", ".join(unsupported)}' if unsupported else f'inherits from {base}, not {table.baseline}'
        raise UserError(f'row {row.key} {problem}, so it cannot be applied to other data. Use --data own')
    return changes


def read_scores(work_dir: Path, metrics: Sequence[str]) -> dict[str, float]:
    """Return the scores of a training's last validation, in the units that papers print.

    Raises:
        UserError: The log of the training lacks these scores.
    """
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'), reverse=True)
    for line in (line for log in logs for line in reversed(log.read_text().splitlines())):
        entry = json.loads(line)
        if all(METRICS[name][0] in entry for name in metrics):
            return {name: entry[METRICS[name][0]] * METRICS[name][1] for name in metrics}
    raise UserError(f'{work_dir} has no log with {" and ".join(METRICS[name][0] for name in metrics)}. Train it again')


def format_report(table: Table, scores: Mapping[str, Sequence[Mapping[str, float]]], note: str) -> str:
    """Format a table in Markdown, with the mean and sample standard deviation over seeds and the published scores."""
    has_published = any(row.published for row in table.rows)
    header = ['row', 'seeds']
    for metric in table.metrics:
        header += [metric, f'{metric}, published'] if has_published else [metric]
    lines = []
    for row in table.rows:
        cells = [row.name, str(len(scores[row.key]))]
        for i, metric in enumerate(table.metrics):
            values = [seed_scores[metric] for seed_scores in scores[row.key]]
            deviation = f' ± {stdev(values):.2f}' if len(values) > 1 else ''
            cells.append(f'{mean(values):.2f}{deviation}' if values else '')
            if has_published:
                cells.append(f'{row.published[i]:g}' if row.published else '')
        lines.append(cells)
    return f'# {table.title}\n\n{format_table(header, lines)}\n{note}\n'
