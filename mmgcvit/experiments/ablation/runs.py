"""The trainings of a table: in which order, which are finished, how long the others will take."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from .tables import Row, Table, TableError

# The files by which a training tells of its end, and a table of the configs that it was begun with.
FINISHED = 'finished.json'
BEGUN = 'begun.json'


class Run(NamedTuple):
    """One training.

    Attributes:
        row: What is trained.
        seed: With which seed.
        folder: Its work dir.
    """

    row: Row
    seed: int
    folder: Path


@dataclass(frozen=True)
class Result:
    """What came of a training.

    Attributes:
        scores: By the names of the table's metrics, as papers print them.
        seconds: How long the call took that brought it to its end.
    """

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
    """Note that a training has come to its end, whole or not at all."""
    write_whole(run.folder / FINISHED, json.dumps(asdict(result), indent=1))


def write_whole(path: Path, content: str) -> None:
    """Write a file so that whoever is stopped meanwhile leaves the one before."""
    unfinished = path.with_name(f'{path.name}.unfinished')
    unfinished.write_text(content)
    unfinished.replace(path)


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


def is_used(work_dir: Path) -> bool:
    """Whether an earlier call has begun a table in a folder."""
    return (work_dir / BEGUN).is_file() or any(folders_of_seeds(work_dir))


def remove_runs(work_dir: Path) -> None:
    """Remove what an earlier call has trained.

    Raises:
        TableError: The folder does not say that an earlier call has begun there: these may be other people's files.
    """
    found = [*folders_of_seeds(work_dir)]
    if found and not (work_dir / BEGUN).is_file():
        raise TableError(
            f'{found[0]} is of no table ({work_dir / BEGUN} is missing); remove it, or take another folder'
        )
    for folder in found:
        shutil.rmtree(folder)
    (work_dir / BEGUN).unlink(missing_ok=True)


def folders_of_seeds(work_dir: Path) -> Iterator[Path]:
    """The folders that hold trainings."""
    return (path for path in work_dir.glob('seed_*') if re.fullmatch(r'seed_\d+', path.name) and path.is_dir())


def check_same(work_dir: Path, digests: Mapping[str, str]) -> None:
    """Note the configs that a table is begun with, or compare them with those noted.

    Args:
        work_dir: The table's folder.
        digests: Of each row, by its key.

    Raises:
        TableError: The table there was begun with others.
    """
    path = work_dir / BEGUN
    before = json.loads(path.read_text()) if path.is_file() else {}
    other = [key for key, digest in digests.items() if before.get(key, digest) != digest]
    if other or (before and set(before) != set(digests)):
        rows = ', '.join(other) or 'other rows'
        raise TableError(
            f'{work_dir} was begun with other configs ({rows}), and its scores would be of both; begin anew with '
            '--overwrite, or in another folder (--work-dir)'
        )
    write_whole(path, json.dumps(dict(digests), indent=1))
