"""The folder of a run: its newest whole checkpoint, those of an earlier run, and that one run at a time has it."""

import fcntl
import json
import logging
import os
import re
import shutil
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TextIO
from weakref import WeakSet

from mmengine.config import Config
from mmengine.logging import print_log

from ..errors import CheckpointError, shorten
from ..files import ADDRESSES
from .reading import check_whole, local_file, read_torch

# What mmengine's checkpoint hook calls them; best_* are others under a second name.
NAME = re.compile(r'(epoch|iter)_(\d+)\.pth')
OF_A_RUN = re.compile(r'(best_.+_)?(epoch|iter)_\d+\.pth')
LAST = 'last_checkpoint'
BEST = 'kept_as_best.json'
# Where an earlier run's are moved, until the new one has saved its first.
SET_ASIDE = 'overwritten'
LOCK = '.in_use'


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
    """Find the newest checkpoint of a run's work folder that is what was written.

    ``epoch_N.pth`` or ``iter_N.pth`` with the highest number, or where there are both, as when a run that counts epochs
    has ended within one, of the most iterations; whether or not ``last_checkpoint`` names it: a run may have ended
    between the two. Files further on than that of ``last_checkpoint``, and older than it, are an earlier run's; they
    come last.
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
    has_both = len({kind_and_number(path)[0] for path in found}) > 1
    progress = iterations_in if has_both else lambda path: kind_and_number(path)[1]
    limit, since = (progress(named), times_of([folder / LAST]).get(folder / LAST, 0)) if named else (inf, 0)

    def rank(path: Path) -> tuple[bool, float, int]:
        done = progress(path)
        is_earlier_runs = done > limit and found[path] < since
        return not is_earlier_runs, done, found[path]

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
        return float(read_torch(path, 'meta')['meta']['iter'])
    except Exception:  # Whatever the file is; whether it is whole is asked elsewhere.
        return inf


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


def resume(cfg: Config, name: str) -> None:
    """Have a run go on from a checkpoint, or with ``auto`` from the newest whole one of its work folder.

    Where that has no checkpoint at all the run begins, so that one command line serves a job that is started again.
    Where checkpoints are there, and none is whole, that is an error. Nor does it go on from a file that is not whole.
    """
    cfg.resume, cfg.load_from = True, None if name == 'auto' else name
    if name != 'auto':
        # What is fetched is looked at where it is read.
        if not name.startswith(ADDRESSES):
            check_whole(local_file(name))
        return
    newest = newest_whole_checkpoint(Path(cfg.work_dir))
    if newest.path is not None:
        cfg.load_from = str(newest.path)
        print_log(f'--resume: {newest}', 'current', logging.WARNING if newest.damaged else logging.INFO)
    elif newest.damaged:
        raise CheckpointError(f'--resume: {newest}. Name a checkpoint, or train in another folder (--work-dir)')
    elif (last := Path(cfg.work_dir) / LAST).is_file():
        # Checkpoints may be saved elsewhere (out_dir of the hook); the name of the last one stands here all the same.
        named = last.read_text(errors='replace').strip()
        if not Path(named or '?').is_file():
            raise CheckpointError(
                f'--resume: {cfg.work_dir} has no checkpoint, and {last} names none that is there '
                f'({named!r:.200}). Name a checkpoint; to begin anew, remove {last}'
            )
        resume(cfg, named)
    else:
        print_log(f'--resume: {cfg.work_dir} has no checkpoint; the run begins', 'current')


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints that a run has left in a folder, and what names the last of them; of any run, whole or not."""
    return sorted(path for path in folder.glob('*') if path.name in (LAST, BEST) or OF_A_RUN.fullmatch(path.name))


def bests_in(folder: Path) -> dict[str, tuple[str, float]]:
    """The best checkpoint of a run by each metric and its score, of those in its folder; its epoch's will do."""
    path = folder / BEST
    if not path.exists():
        return {}
    try:
        noted = {metric: [*scores.items()] for metric, scores in json.loads(path.read_text()).items()}
        there = {
            metric: [
                (name, float(score))
                for name, score in of
                if (folder / name).exists() or (folder / NAME.search(name)[0]).exists()
            ]
            for metric, of in noted.items()
        }
    except (AttributeError, TypeError, ValueError):
        raise CheckpointError(
            f'{path} does not say which checkpoints are the best; remove it, and the next best one is taken for it'
        ) from None
    # Noted before it was written: the last one of a run that was killed may not be there.
    return {metric: of[-1] for metric, of in there.items() if of}


def refuse_used(folder: Path, found: Sequence[Path]) -> None:
    """Say of a folder with an earlier run's checkpoints that a new run would overwrite them."""
    if found:
        names = shorten([path.name for path in found])
        raise CheckpointError(
            f"{folder} holds an earlier run's checkpoints ({names}), which a new run would overwrite. Go on from them "
            "with --resume, or train in another folder (--work-dir), or give them up with --overwrite (of hosts' "
            'scripts: --cfg-options default_hooks.checkpoint.overwrite=True)'
        )


def check_free(folder: Path, is_new: bool) -> None:
    """Refuse a folder in which another process trains, for a new run also one with an earlier run's checkpoints."""
    if is_taken(folder):
        refuse_taken(folder)
    if is_new:
        refuse_used(folder, checkpoints_in(folder))


def set_aside(found: Sequence[Path], folder: Path) -> None:
    """Move an earlier run's checkpoints into a folder below theirs, where nothing looks for them."""
    for path in found:
        place = folder / SET_ASIDE / path.name
        place.parent.mkdir(exist_ok=True)
        remove(place, place.parent)
        path.rename(place)


def remove(path: Path, folder: Path) -> None:
    """Remove a checkpoint, a file or a folder of shares, if it lies in a folder itself; what does not stays."""
    if path.parent.resolve() != folder.resolve():
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# What holds folders for this process: such a lock ends when its process closes the file, by whichever opening.
OWN: WeakSet[TextIO] = WeakSet()


def own_locks(folder: Path) -> list[TextIO]:
    """What holds a folder for this process."""
    path = folder / LOCK
    if not path.exists():
        return []
    return [file for file in OWN if not file.closed and os.path.samestat(os.fstat(file.fileno()), path.stat())]


def can_lock(file: TextIO, kind: int) -> bool:
    """Lock a file for this process, where others' locks allow it; an OSError on a disk that knows no locks."""
    try:
        # Unlike flock's, this lock is not inherited: workers may outlive a process that is killed by seconds.
        fcntl.lockf(file, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_taken(folder: Path) -> bool:
    """Whether another process has a folder (:func:`take_folder`); nothing is written; any number may ask at once."""
    try:
        if own_locks(folder):
            return False
        with (folder / LOCK).open() as file:
            return not can_lock(file, fcntl.LOCK_SH)
    except OSError:
        return False


def refuse_taken(folder: Path) -> None:
    """Say of a folder which process trains in it."""
    raise CheckpointError(
        f'another training runs in {folder} ({(folder / LOCK).read_text() or "another process"}), and two would remove '
        "each other's checkpoints. Wait for its end, or end it, or train in another folder (--work-dir)"
    )


def take_folder(folder: Path) -> TextIO | None:
    """Take a folder for this process, until it ends or closes what is returned.

    The system gives the folder back however the process ends, on file systems of several machines too; processes that
    it has started do not hold it. On a disk that knows no locks the folder is taken by nobody, which is said. What is
    returned is to be kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for own in own_locks(folder):
        own.close()
    file = (folder / LOCK).open('a+')
    if not can_lock(file, fcntl.LOCK_EX):
        with file:
            refuse_taken(folder)
    OWN.add(file)
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}')
    file.flush()
    return file
