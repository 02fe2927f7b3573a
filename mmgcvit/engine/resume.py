"""Choose the checkpoint that a run resumes from, and keep one training in a work dir.

A training starts in a work dir without checkpoints (``--overwrite`` removes them after the first iteration), or resumes
from one (``--resume``). How a run is resumed, in order:

1. :func:`choose_checkpoint` sets ``cfg.load_from``;
2. ``checkpoints/safe_loading.py`` reads the file as data;
3. mmengine's ``Runner.resume`` restores weights, optimizer, LR schedulers, epoch and iteration;
4. ``hooks/exact_resume.py`` rebuilds the log histories;
5. ``loops.py`` continues at the iteration, also within an epoch, with the random numbers of an uninterrupted run.
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
from ..config import differences, get_plain_settings, parse_config
from ..errors import CheckpointError, UserError, escape_controls, shorten
from ..files import URL_SCHEMES
from ..mmengine_utils import call_on_rank_0
from .hooks.checkpoint import LAST, PREEMPTED

RESUMABLE = re.compile(rf'(epoch|iter)_\d+\.pth|{re.escape(PREEMPTED)}')
# Also the best checkpoints and the file with the name of the last one.
WRITTEN_BY_RUNS = re.compile(rf'(best_.+_)?(epoch|iter)_\d+\.pth|{re.escape(PREEMPTED)}|{LAST}')
LOCK = '.lock'
# Data workers of a killed process keep its lock until they end, up to 5 seconds later.
SECONDS_TO_WAIT = 10
# Set by --resume itself.
NOT_COMPARED = ('load_from', 'resume')


def find_latest_checkpoint(work_dir: str | Path) -> Path | None:
    """Find the latest readable checkpoint of a work dir; None if there is no checkpoint.

    It is the one in ``last_checkpoint``, or the newest other one if that is truncated or missing; each that is passed
    over is logged. ``mmgcvit predict WORK_DIR`` uses this too.

    Raises:
        CheckpointError: None of the checkpoints can be read.
    """
    work_dir = Path(work_dir)
    found = [path for path in work_dir.glob('*.pth') if RESUMABLE.fullmatch(path.name)]
    found.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    named = read_last(work_dir)
    problems = []
    for path in dict.fromkeys([named, *found] if named else found):
        try:
            check_intact(path)
        except (CheckpointError, OSError) as error:
            problems.append(str(error))
            print_log(escape_controls(f'passed over: {error}'), 'current', logging.WARNING)
        else:
            return path
    if problems:
        raise CheckpointError(
            f'{work_dir} has no checkpoint that can be read ({shorten(problems)}); name one, train in another folder '
            '(--work-dir), or start anew with --overwrite'
        )
    return None


def read_last(work_dir: Path) -> Path | None:
    """Return the checkpoint named in ``last_checkpoint``, if both exist."""
    file = work_dir / LAST
    if not file.is_file() or not (text := file.read_text(errors='replace').strip()):
        return None
    # This folder first, as a work dir may have been moved or copied.
    return next((path for path in (work_dir / Path(text).name, Path(text)) if path.is_file()), None)


def choose_checkpoint(cfg: Config, resume: str | None) -> None:
    """Set ``cfg.resume`` and ``cfg.load_from`` for ``--resume`` or a config's ``resume=True``.

    Without a name, or for ``'auto'``, it is the latest checkpoint of the work dir. In an empty work dir ``load_from``
    is None and training starts, so that one command line serves all starts of a job.

    Raises:
        CheckpointError: There is no such checkpoint, or none that can be read.
    """
    if resume is None and not cfg.get('resume'):
        return
    given = resume or cfg.get('load_from') or 'auto'
    cfg.load_from = call_on_rank_0(find_checkpoint, given, cfg.work_dir)
    cfg.resume = True


def find_checkpoint(given: str, work_dir: str) -> str | None:
    """Return the checkpoint to resume from: the given one, or for ``'auto'`` the latest in the work dir."""
    if given == 'auto':
        found = find_latest_checkpoint(work_dir)
        print_log(f'--resume: {found or "no checkpoint yet, training starts"}', 'current')
        return found and str(found)
    if not given.startswith(URL_SCHEMES) and not Path(given).is_file():
        raise CheckpointError(f'--resume {given}: no such checkpoint')
    return given


def require_unused(work_dir: str | Path) -> None:
    """Raise a CheckpointError if a work dir has checkpoints of an earlier training."""
    found = list_checkpoints(work_dir)
    if found:
        raise CheckpointError(
            f"{work_dir} has an earlier run's checkpoints ({shorten([path.name for path in found])}). Continue from "
            'them with --resume, train in another folder (--work-dir), or remove them with --overwrite'
        )


def list_checkpoints(work_dir: str | Path) -> list[Path]:
    """List the checkpoints of a run in a folder, and ``last_checkpoint``."""
    return sorted(path for path in Path(work_dir).glob('*') if WRITTEN_BY_RUNS.fullmatch(path.name) and path.is_file())


class OverwriteHook(Hook):
    """For ``--overwrite``: remove an earlier run's checkpoints after the first iteration, when most errors are past."""

    # Before the hooks that save.
    priority = 'HIGH'

    @master_only
    def before_train(self, runner: Runner) -> None:
        self.outdated = list_checkpoints(runner.work_dir)

    @master_only
    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        while self.outdated:
            self.outdated.pop().unlink()


@contextmanager
def lock(work_dir: str | Path) -> Iterator[None]:
    """Lock a work dir against other trainings; rank 0 only. The lock ends with the process."""
    if get_rank() != 0:
        yield
        return
    Path(work_dir).mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(Path(work_dir, LOCK)).acquire(timeout=SECONDS_TO_WAIT)
    except Timeout:
        raise UserError(
            f'another training is running in {work_dir}; wait for it to end, or train in another folder (--work-dir)'
        ) from None
    with held:
        yield


def warn_of_changes(cfg: Config) -> None:
    """Log the settings that differ from the resumed run's in one warning: ``name: then -> now``.

    The config in the checkpoint is parsed, never run.
    """
    if not cfg.get('resume') or not cfg.get('load_from') or get_rank() != 0:
        return
    then, now = parse_config(read_meta(cfg.load_from).get('cfg')), get_plain_settings(cfg)
    if then is None or now is None:
        print_log(f'{cfg.load_from} has no config to compare with', 'current')
        return
    changes = [words for name, words in differences(then, now) if name not in NOT_COMPARED]
    if changes:
        lines = '\n  '.join(changes)
        print_log(escape_controls(f'resumed with other settings:\n  {lines}'), 'current', logging.WARNING)
