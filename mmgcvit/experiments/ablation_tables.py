"""The tables of ablations, as configs/ablations/tables.yml has them, and what their rows change in a config.

The tables are data: nothing here knows a network, and of a table no more than its metrics. A row's change is read off
its own config, and can be put on another one: other data, other sizes, another schedule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from typing import Any, NamedTuple

import yaml

from ..errors import UserError

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
