"""Choose the checkpoint that a run resumes from, and keep one training in a work dir.

A training starts in a work dir without checkpoints (``--overwrite`` removes them after the first iteration), or resumes
from one (``--resume``). How a run is resumed, in order:

1. :func:`choose_checkpoint` sets ``cfg.load_from``;
2. ``checkpoints/safe_loading.py`` reads the file as data;
3. mmengine's ``Runner.resume`` restores weights, optimizer, LR schedulers, epoch and iteration;
4. ``hooks/exact_resume.py`` rebuilds the log histories;
5. ``loops.py`` goes on at the iteration, within an epoch too, with the random numbers of an uninterrupted run.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from mmengine.config import Config
from mmengine.dist import get_rank, master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..checkpoints import check_intact
from ..checkpoints.reading import read_meta
from ..config import differences, parse_config, plain_settings
from ..errors import CheckpointError, UserError, printable, shorten
from ..files import ADDRESSES
from ..mmengine_utils import call_on_rank_0
from .hooks.checkpoint import LAST, PREEMPTED

RESUMABLE = re.compile(rf'(epoch|iter)_\d+\.pth|{re.escape(PREEMPTED)}')
# These, the best checkpoints, and the file that names the last one.
WRITTEN_BY_RUNS = re.compile(rf'(best_.+_)?(epoch|iter)_\d+\.pth|{re.escape(PREEMPTED)}|{LAST}')
LOCK = '.lock'
# Data workers of a process that was killed hold its lock until they notice, which takes torch up to 5 seconds.
SECONDS_TO_WAIT = 10
# --resume itself sets these.
NOT_COMPARED = ('load_from', 'resume')


def find_latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The last checkpoint of a work dir that is whole; None where there is no checkpoint at all.

    That is the one that ``last_checkpoint`` names; where it is torn or gone, the newest of the others, which is logged.
    ``mmgcvit predict WORK_DIR`` calls this too.

    Raises:
        CheckpointError: There are checkpoints, and none is whole.
    """
    work_dir = Path(work_dir)
    found = [path for path in work_dir.glob('*.pth') if RESUMABLE.fullmatch(path.name)]
    found.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    named = read_last(work_dir)
    problems = []
    for path in dict.fromkeys([named, *found] if named else found):
        try:
            check_intact(path)
        # What a disk cannot give back is as good as damaged.
        except (CheckpointError, OSError) as error:
            problems.append(str(error))
            print_log(printable(f'passed over: {error}'), 'current', logging.WARNING)
        else:
            return path
    if problems:
        raise CheckpointError(
            f'{work_dir} has no checkpoint that can be read ({shorten(problems)}); name one, train in another folder '
            '(--work-dir), or begin anew with --overwrite'
        )
    return None


def read_last(work_dir: Path) -> Path | None:
    """The checkpoint that ``last_checkpoint`` names, if both are there."""
    file = work_dir / LAST
    if not file.is_file() or not (text := file.read_text(errors='replace').strip()):
        return None
    # In this folder first: a work dir may have been moved or copied.
    return next((path for path in (work_dir / Path(text).name, Path(text)) if path.is_file()), None)


def choose_checkpoint(cfg: Config, resume: str | None) -> None:
    """Set ``cfg.resume`` and ``cfg.load_from`` for ``--resume`` or a config's ``resume=True``.

    Without a name, or as ``'auto'``, the latest checkpoint of the work dir is taken. In an empty work dir ``load_from``
    is None and training starts, so that one command line serves a job that is started again and again.

    Raises:
        CheckpointError: There is no such checkpoint, or none that can be read.
    """
    if resume is None and not cfg.get('resume'):
        return
    given = resume or cfg.get('load_from') or 'auto'
    cfg.load_from = call_on_rank_0(find_checkpoint, given, cfg.work_dir)
    cfg.resume = True


def find_checkpoint(given: str, work_dir: str) -> str | None:
    """The checkpoint to resume from: the one that was named, or for ``'auto'`` the latest in the work dir."""
    if given == 'auto':
        found = find_latest_checkpoint(work_dir)
        print_log(f'--resume: {found or "no checkpoint yet, training begins"}', 'current')
        return found and str(found)
    if not given.startswith(ADDRESSES) and not Path(given).is_file():
        raise CheckpointError(f'--resume {given}: there is no such checkpoint')
    return given


def require_unused(work_dir: str | Path) -> None:
    """Refuse to begin a training where an earlier one has left checkpoints."""
    found = checkpoints_in(work_dir)
    if found:
        raise CheckpointError(
            f"{work_dir} holds an earlier run's checkpoints ({shorten([path.name for path in found])}). Go on from "
            'them with --resume, train in another folder (--work-dir), or remove them with --overwrite'
        )


def checkpoints_in(work_dir: str | Path) -> list[Path]:
    """All checkpoints that a run has left in a folder, and what names the last of them."""
    return sorted(path for path in Path(work_dir).glob('*') if WRITTEN_BY_RUNS.fullmatch(path.name) and path.is_file())


class OverwriteHook(Hook):
    """For ``--overwrite``, remove an earlier run's checkpoints after the first iteration, which most faults prevent."""

    # Before the hooks that save.
    priority = 'HIGH'

    @master_only
    def before_train(self, runner: Runner) -> None:
        self.outdated = checkpoints_in(runner.work_dir)

    @master_only
    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        while self.outdated:
            self.outdated.pop().unlink()


@contextmanager
def lock(work_dir: str | Path) -> Iterator[None]:
    """Keep other trainings out of a work dir for as long as this one runs, however it ends; rank 0 does it."""
    if get_rank() != 0:
        yield
        return
    Path(work_dir).mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(Path(work_dir, LOCK)).acquire(timeout=SECONDS_TO_WAIT)
    except Timeout:
        raise UserError(
            f"another training runs in {work_dir}, and two would remove each other's checkpoints. Wait for its end, or "
            'train in another folder (--work-dir)'
        ) from None
    with held:
        yield


def warn_of_changes(cfg: Config) -> None:
    """Log one warning with the settings that are not those of the run that is resumed: ``name: then -> now``.

    The checkpoint's config is text that is parsed, never run.
    """
    if not cfg.get('resume') or not cfg.get('load_from') or get_rank() != 0:
        return
    then, now = parse_config(read_meta(cfg.load_from).get('cfg')), plain_settings(cfg)
    if then is None or now is None:
        print_log(f'{cfg.load_from} does not say what config it was trained with: not compared', 'current')
        return
    changes = [words for name, words in differences(then, now) if name not in NOT_COMPARED]
    if changes:
        lines = '\n  '.join(changes)
        print_log(printable(f'resumed with other settings:\n  {lines}'), 'current', logging.WARNING)
