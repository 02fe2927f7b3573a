"""What a row changes, read off its config, and put on another one: other data, other sizes, another schedule."""

from collections.abc import Mapping
from pathlib import Path
from pprint import pformat
from typing import Any

from mmengine.config import Config

from .tables import Row, Table, TableError

REPLACE = '_delete_'
# What a row may change for the change to mean the same on any data.
PORTABLE = ('custom_imports', 'custom_hooks', 'model')


def change_of(row: Row, table: Table, at_digits: bool) -> dict[str, Any]:
    """What a row changes, to be inherited over another config.

    Args:
        row: A row.
        table: Its table.
        at_digits: Whether the other config is that of the demo's scale.

    Raises:
        TableError: The row changes data or schedule too.
    """
    if at_digits and row.at_digits is not None:
        return dict(row.at_digits)
    own, unchanged = (Config.fromfile(path).to_dict() for path in (row.config, table.unchanged))
    change = difference(own, unchanged)
    # Numbers and tuples at the top are variables of the files, used in what follows them.
    settings = {name: value for name, value in change.items() if isinstance(value, (dict, list))}
    others = sorted(set(settings) - set(PORTABLE))
    if others:
        raise TableError(
            f'row {row.key} changes {", ".join(others)}, which other data have of their own; train the table with '
            '--data own'
        )
    return settings


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

    Args:
        change: The change.
        base: The config.
        where: What a message begins with.

    Raises:
        TableError: It changes attributes of what the config names by a single word.
    """
    return {
        key: onto_mapping(value, key, base, where) if isinstance(value, Mapping) else value
        for key, value in change.items()
    }


def onto_mapping(value: Mapping[str, Any], key: str, base: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The part of a change under one key."""
    if key not in base:
        # mmengine takes the word out only where there is something to replace.
        return onto({name: content for name, content in value.items() if name != REPLACE}, {}, where)
    if REPLACE in value:
        return dict(value)
    if not isinstance(base[key], Mapping):
        raise TableError(
            f'{where}{key} is {base[key]!r}, of which {", ".join(value)} cannot be changed; write it out as a dict in '
            'a config that inherits from this one'
        )
    return onto(value, base[key], f'{where}{key}.')


def write_config(path: Path, row: Row, change: Mapping[str, Any], base: Path) -> None:
    """Write the config of a row over another one's data, sizes and schedule."""
    settings = [f'{name} = {pformat(value, width=100, sort_dicts=False)}\n' for name, value in change.items()]
    head = f'# {row.name!r}: what this row changes, and all else of the other config.\n'
    path.write_text('\n'.join([head, f'_base_ = {str(base.resolve())!r}\n', *settings]))
