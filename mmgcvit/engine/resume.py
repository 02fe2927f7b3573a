"""Choose the checkpoint that a run resumes from, and allow one training at a time in a work dir.

A training starts in a work dir without checkpoints, resumes from one (``--resume``), or removes all of them after its
first iteration (``--overwrite``). A run is resumed in this order:

1. :func:`choose_checkpoint` sets ``cfg.load_from``;
2. ``checkpoints/safe_loading.py`` reads the file without running code from it;
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
from ..config import get_plain_settings, iter_differences, parse_config
from ..errors import CheckpointError, UserError, escape_controls, shorten
from ..files import URL_SCHEMES
from ..mmengine_utils import call_on_rank_0
from .hooks.checkpoint import LAST_CHECKPOINT_FILE, PREEMPTED_FILE

RESUMABLE_NAME = re.compile(rf'(epoch|iter)_\d+\.pth|{re.escape(PREEMPTED_FILE)}')
# Resumable and best checkpoints, and the file with the path of the last one.
RUN_FILE_NAME = re.compile(rf'(best_.+_)?(epoch|iter)_\d+\.pth|{re.escape(PREEMPTED_FILE)}|{LAST_CHECKPOINT_FILE}')
LOCK_FILE = '.lock'
# In seconds. Dataloader workers of a killed process hold its lock until they exit, up to 5 seconds later.
LOCK_TIMEOUT = 10
# --resume changes these settings itself.
IGNORED_SETTINGS = ('load_from', 'resume')


def find_latest_checkpoint(work_dir: str | Path) -> Path | None:
    """Find the latest readable checkpoint of a work dir. Return None if the work dir has no checkpoint.

    This is the checkpoint that ``last_checkpoint`` names or, if that is truncated or missing, the newest other one.
    Log a warning for each unreadable checkpoint. ``mmgcvit predict WORK_DIR`` also calls this.

    Raises:
        CheckpointError: The work dir has checkpoints, but none can be read.
    """
    work_dir = Path(work_dir)
    checkpoints = [path for path in work_dir.glob('*.pth') if RESUMABLE_NAME.fullmatch(path.name)]
    checkpoints.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    last = read_last(work_dir)
    errors = []
    for path in dict.fromkeys([last, *checkpoints] if last else checkpoints):
        try:
            check_intact(path)
        except (CheckpointError, OSError) as error:
            errors.append(str(error))
            print_log(escape_controls(f'skipped: {error}'), 'current', logging.WARNING)
        else:
            return path
    if errors:
        raise CheckpointError(
            f'{work_dir} has no readable checkpoint ({shorten(errors)}). Pass one with --resume CHECKPOINT, train in '
            'another folder (--work-dir), or start over with --overwrite'
        )
    return None


def read_last(work_dir: Path) -> Path | None:
    """Return the checkpoint that ``last_checkpoint`` names, or None if either file is missing."""
    file = work_dir / LAST_CHECKPOINT_FILE
    if not file.is_file() or not (text := file.read_text(errors='replace').strip()):
        return None
    # Look in this folder first, as a work dir may have been moved or copied.
    return next((path for path in (work_dir / Path(text).name, Path(text)) if path.is_file()), None)


def choose_checkpoint(cfg: Config, resume: str | None) -> None:
    """Set ``cfg.resume`` and ``cfg.load_from`` for ``--resume`` or a config's ``resume=True``.

    ``'auto'``, and ``resume=True`` without ``load_from``, choose the latest checkpoint of the work dir. If it has none,
    ``load_from`` is None and training starts, so that the same command starts and resumes a job.

    Raises:
        CheckpointError: The checkpoint does not exist, or none in the work dir can be read.
    """
    if resume is None and not cfg.get('resume'):
        return
    checkpoint = resume or cfg.get('load_from') or 'auto'
    cfg.load_from = call_on_rank_0(find_checkpoint, checkpoint, cfg.work_dir)
    cfg.resume = True


def find_checkpoint(checkpoint: str, work_dir: str) -> str | None:
    """Return a checkpoint's path or URL if it exists, or for ``'auto'`` the latest in the work dir."""
    if checkpoint == 'auto':
        latest = find_latest_checkpoint(work_dir)
        print_log(f'--resume: {latest or "no checkpoint yet, training starts"}', 'current')
        return latest and str(latest)
    if not checkpoint.startswith(URL_SCHEMES) and not Path(checkpoint).is_file():
        raise CheckpointError(f'--resume {checkpoint}: there is no such file')
    return checkpoint


def require_unused(work_dir: str | Path) -> None:
    """Raise a CheckpointError if a work dir has checkpoints of an earlier training."""
    checkpoints = list_checkpoints(work_dir)
    if checkpoints:
        raise CheckpointError(
            f"{work_dir} has an earlier run's checkpoints ({shorten([path.name for path in checkpoints])}). Continue "
            'from them with --resume, train in another folder (--work-dir), or remove them with --overwrite'
        )


def list_checkpoints(work_dir: str | Path) -> list[Path]:
    """List the checkpoints and ``last_checkpoint`` that a run has written to its work dir."""
    return sorted(path for path in Path(work_dir).glob('*') if RUN_FILE_NAME.fullmatch(path.name) and path.is_file())


class OverwriteHook(Hook):
    """Remove an earlier run's checkpoints (``--overwrite``) after the first iteration, in which most errors occur."""

    # Run before the hooks that save.
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
    """Lock a work dir against other trainings on rank 0. The lock is released when the process ends or is killed."""
    if get_rank() != 0:
        yield
        return
    Path(work_dir).mkdir(parents=True, exist_ok=True)
    try:
        file_lock = FileLock(Path(work_dir, LOCK_FILE)).acquire(timeout=LOCK_TIMEOUT)
    except Timeout:
        raise UserError(
            f'another training is running in {work_dir}. Wait until it ends, or train in another folder (--work-dir)'
        ) from None
    with file_lock:
        yield


def find_changes(cfg: Config) -> dict[str, str]:
    """Return the settings that differ from those of the resumed run, by name, as ``name: old -> new``.

    The config in the checkpoint is parsed, never executed.
    """
    if not cfg.get('resume') or not cfg.get('load_from'):
        return {}
    old, new = parse_config(read_meta(cfg.load_from).get('cfg')), get_plain_settings(cfg)
    if old is None or new is None:
        print_log(f'{cfg.load_from} has no config to compare with', 'current')
        return {}
    changes = {name: change for name, change in iter_differences(old, new) if name not in IGNORED_SETTINGS}
    if changes:
        lines = '\n  '.join(changes.values())
        print_log(escape_controls(f'resumed with other settings:\n  {lines}'), 'current', logging.WARNING)
    return changes
