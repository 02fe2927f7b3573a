"""The tables of ablations, as configs/ablations/tables.yml has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class Metric(NamedTuple):
    """A score of a table.

    Attributes:
        key: What the host calls it.
        times: What makes of the host's number the one that papers print.
    """

    key: str
    times: float = 1


METRICS = {
    'top-1': Metric('accuracy/top1'),
    'box AP': Metric('coco/bbox_mAP', 100),
    'mask AP': Metric('coco/segm_mAP', 100),
    'mIoU': Metric('mIoU'),
}


class TableError(ValueError):
    """A table is not what it should be, or a row of it cannot be trained as asked."""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        key: What its folder is called.
        name: What the table calls it.
        config: Its own config, at full scale.
        published: The paper's scores, one for each metric of the table; None where none is known.
        at_digits: What it changes at the demo's scale, where that cannot be read off its own config: sizes.
    """

    key: str
    name: str
    config: Path
    published: tuple[float, ...] | None = None
    at_digits: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Table:
    """A table of rows that differ in one thing each from one config.

    Attributes:
        key: What one calls it on the command line.
        title: Its heading.
        metrics: Which scores it has, keys of :data:`METRICS`.
        unchanged: The config that rows differ from, at full scale.
        digits: The same at the demo's scale; None where the table has no such.
        rows: In the paper's order.
    """

    key: str
    title: str
    metrics: tuple[str, ...]
    unchanged: Path
    rows: tuple[Row, ...]
    digits: Path | None = None


@dataclass
class Reader:
    """Reads entries of a mapping and refuses what is missing, or was not asked for.

    Attributes:
        what: What the mapping describes, for messages.
        entries: The mapping.
        asked: The names that were asked for.
    """

    what: str
    entries: Any
    asked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not isinstance(self.entries, Mapping):
            raise TableError(f'{self.what}: expected entries NAME: VALUE, got {self.entries!r:.100}')

    def get(self, name: str, kind: type, optional: bool = False) -> Any:
        """A value of a kind; None where it is missing and may be."""
        self.asked.add(name)
        value = self.entries.get(name)
        if value is None and optional:
            return None
        if not isinstance(value, kind):
            raise TableError(f'{self.what}: {name} is {value!r:.100}; expected a {kind.__name__}')
        return value

    def done(self) -> None:
        """Refuse entries that nobody asked for."""
        unknown = sorted(set(self.entries) - self.asked)
        if unknown:
            raise TableError(f'{self.what}: unknown {", ".join(unknown)}; known: {", ".join(sorted(self.asked))}')


def read_tables(path: Path) -> dict[str, Table]:
    """All tables of a file, by name; configs are named relative to the folder above the file's.

    Raises:
        TableError: There is no such file, or something in it is missing, unknown or of another kind.
    """
    if not path.is_file():
        raise TableError(f'there are no tables: {path} is missing; it belongs to the ablations of the repository')
    content = Reader(str(path), yaml.safe_load(path.read_text())).entries
    return {str(key): read_table(str(key), entries, path.parent.parent) for key, entries in content.items()}


def read_table(key: str, entries: Any, configs: Path) -> Table:
    """One table."""
    reader = Reader(f'table {key}', entries)
    metrics = tuple(reader.get('metrics', list))
    unknown = [name for name in metrics if name not in METRICS]
    if unknown or not metrics:
        raise TableError(f'table {key}: metrics are {list(metrics)}; expected some of {list(METRICS)}')
    unchanged = config_at(configs, reader.get('unchanged', str), key)
    digits = reader.get('digits', str, optional=True)
    rows = tuple(
        read_row(str(name), row, configs, unchanged, len(metrics)) for name, row in reader.get('rows', dict).items()
    )
    table = Table(key, reader.get('title', str), metrics, unchanged, rows, digits and config_at(configs, digits, key))
    reader.done()
    return table


def read_row(key: str, entries: Any, configs: Path, unchanged: Path, num_metrics: int) -> Row:
    """One row; without a config it is the unchanged one."""
    reader = Reader(f'row {key}', entries)
    config = reader.get('config', str, optional=True)
    published = reader.get('published', list, optional=True)
    if published is not None and len(published) != num_metrics:
        raise TableError(f'row {key}: published is {published}; expected {num_metrics}, one for each metric')
    row = Row(
        key,
        reader.get('name', str),
        unchanged if config is None else config_at(configs, config, key),
        None if published is None else tuple(map(float, published)),
        reader.get('at_digits', dict, optional=True),
    )
    reader.done()
    return row


def config_at(configs: Path, name: str, key: str) -> Path:
    """The path of a config that a table names."""
    if not (configs / name).is_file():
        raise TableError(f'{key}: there is no config {configs / name}')
    return configs / name
