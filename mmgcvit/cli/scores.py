"""The scores that a run has logged in its work dir."""

from collections.abc import Iterator
from pathlib import Path

from ..run_logs import objects_in


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
