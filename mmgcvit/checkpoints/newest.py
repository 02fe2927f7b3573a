"""The newest checkpoint of a work folder that is whole."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from ..errors import CheckpointError
from .torch_files import read_without_numbers
from .wholeness import check_whole

# What mmengine's checkpoint hook calls them; best_* hold no optimizer and cannot be resumed.
NAME = re.compile(r'(epoch|iter)_(\d+)\.pth')
LAST = 'last_checkpoint'


@dataclass(frozen=True)
class NewestCheckpoint:
    """What a search of a work folder has found.

    Attributes:
        path: The newest whole checkpoint, None if there is none.
        damaged: Newer ones, and what is wrong with each.
    """

    path: Path | None
    damaged: dict[Path, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line for a log."""
        found = f'the newest whole checkpoint is {self.path}' if self.path else 'there is no whole checkpoint'
        passed = ', '.join(str(path) for path in self.damaged)
        return f'{found}; passed over, damaged: {passed}' if passed else found


def newest_whole_checkpoint(folder: Path) -> NewestCheckpoint:
    """Find the newest checkpoint of a work folder that is what was written.

    ``epoch_N.pth`` or ``iter_N.pth`` with the highest number, or where there are both, as when a run that counts epochs
    has ended within one, of the most iterations; whether or not ``last_checkpoint`` names it: a run may have ended
    between the two. Files further on than that of ``last_checkpoint``, and older than it, are an earlier run's; they
    come last.

    Args:
        folder: A run's work folder.
    """
    damaged = {}
    for path in by_age(Path(folder)):
        try:
            check_whole(path)
        # What the disk cannot give, bad sectors and stale handles among it, is as good as damaged.
        except (CheckpointError, OSError) as error:
            damaged[path] = str(error)
        else:
            return NewestCheckpoint(path, damaged)
    return NewestCheckpoint(None, damaged)


def by_age(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the newest first."""
    found = times_of(path for path in folder.glob('*.pth') if NAME.fullmatch(path.name) and path.is_file())
    named = named_as_last(folder)
    newest = max(found, key=found.__getitem__, default=None)
    kind = kind_and_number(named or newest)[0] if found else ''
    progress = iterations_in if len({kind_and_number(path)[0] for path in found}) > 1 else number_of
    limit, since = (progress(named), times_of([folder / LAST]).get(folder / LAST, 0)) if named else (0, 0)

    def rank(path: Path) -> tuple[bool, float, bool, int]:
        own_kind, number = kind_and_number(path)
        done = progress(path)
        is_earlier_runs = named is not None and done > limit and found[path] < since
        return not is_earlier_runs, done, own_kind == kind, number

    return sorted(found, key=rank, reverse=True)


def times_of(paths: Iterable[Path]) -> dict[Path, int]:
    """When files were changed, in nanoseconds; what has been removed meanwhile is left out."""
    times = {}
    for path in paths:
        with suppress(OSError):
            times[path] = path.stat().st_mtime_ns
    return times


def iterations_in(path: Path) -> float:
    """The iterations that a run had done when it saved a checkpoint; infinite if that cannot be read."""
    try:
        return float(read_without_numbers(path)['meta']['iter'])
    except Exception:  # Whatever the file is; whether it is whole is asked elsewhere.
        return inf


def number_of(path: Path) -> int:
    """3 of ``epoch_3.pth``."""
    return kind_and_number(path)[1]


def named_as_last(folder: Path) -> Path | None:
    """The file of the folder that ``last_checkpoint`` names, None where it names none; it may be gone by now."""
    try:
        name = Path((folder / LAST).read_text().strip()).name
    except (OSError, UnicodeDecodeError):
        return None
    return folder / name if NAME.fullmatch(name) else None


def kind_and_number(path: Path) -> tuple[str, int]:
    """``('epoch', 3)`` of ``epoch_3.pth``."""
    kind, number = NAME.fullmatch(path.name).groups()
    return kind, int(number)
