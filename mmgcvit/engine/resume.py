"""Choose the checkpoint that a run resumes from, and allow one training at a time in a work dir.

A training needs a work dir without checkpoints, unless it resumes (``--resume``) or removes these checkpoints after its
first iteration (``--overwrite``). A run is resumed in this order:

1. :func:`lock_work_dir` locks the work dir, and :func:`choose_checkpoint` sets ``cfg.load_from``;
2. ``checkpoints/safe_loading.py`` reads the file without running code from it;
3. ``hooks/exact_resume.py`` rebuilds the log histories and passes the position in the data to ``loops.py``;
4. mmengine's ``Runner.resume`` restores weights, optimizer, LR schedulers, epoch and iteration;
5. ``hooks/new_schedule.py`` recomputes the LR schedule if its settings or the epochs' lengths have changed;
6. ``hooks/exact_resume.py`` makes up for an interrupted validation;
7. ``loops.py`` continues, even within an epoch, with the random numbers of an uninterrupted run.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from mmengine.config import Config
from mmengine.logging import print_log

from ..checkpoints.latest import LAST_CHECKPOINT_FILE, PREEMPTED_FILE, RESUMABLE_NAME, find_latest_checkpoint
from ..checkpoints.reading import read_meta
from ..config import get_plain_settings, iter_differences
from ..errors import CheckpointError, UserError, escape_controls, shorten
from ..files import URL_SCHEMES
from .hooks.exact_resume import SETTINGS, VALIDATED_FILE
from .hooks.skip_nonfinite import NUM_STOPS_FILE

# Resumable checkpoints, best checkpoints, and the file with the path of the last checkpoint.
RUN_FILE_NAME = re.compile(rf'(best_.+_)?(epoch|iter)_\d+\.pth|{re.escape(PREEMPTED_FILE)}|{LAST_CHECKPOINT_FILE}')
# Files about an earlier run's progress, which --overwrite removes too.
PROGRESS_FILES = (VALIDATED_FILE, NUM_STOPS_FILE)
LOCK_FILE = '.lock'
# In seconds. The dataloader workers of a killed process hold its lock until they exit, up to 5 seconds later.
LOCK_TIMEOUT = 10
# --resume sets these settings, so that they differ from the resumed run's.
IGNORED_SETTINGS = ('load_from', 'resume')


def choose_checkpoint(cfg: Config, resume: str | None, overwrite: bool = False) -> tuple[bool, str | None]:
    """Return ``resume`` and ``load_from`` of the config for the options ``--resume`` and ``--overwrite``.

    ``--resume`` without a checkpoint (``'auto'``) and a config's ``resume=True`` without ``load_from`` choose the
    latest checkpoint of the work dir. If there is none, a new training starts, from the config's ``load_from`` if it
    has one. So the same command starts and resumes a job.

    Raises:
        CheckpointError: The checkpoint does not exist, no checkpoint in the work dir can be read, or the work dir has
            checkpoints of another run.
    """
    checkpoint = None
    if not overwrite and (resume is not None or cfg.get('resume')):
        source = resume or cfg.get('load_from') or 'auto'
        checkpoint = find_checkpoint(source, cfg.work_dir)
        is_elsewhere = source != 'auto' and Path(source).parent.resolve() != Path(cfg.work_dir).resolve()
    elif not overwrite:
        require_unused(cfg.work_dir)
    if (
        checkpoint
        and is_elsewhere
        and any(RESUMABLE_NAME.fullmatch(path.name) for path in list_checkpoints(cfg.work_dir))
    ):
        raise CheckpointError(
            f'--resume {checkpoint}: the work dir {cfg.work_dir} has checkpoints of another run, which the resumed run '
            f'would replace. Add --work-dir {Path(checkpoint).parent} to continue in the folder of the checkpoint, or '
            'another --work-dir'
        )
    return checkpoint is not None, checkpoint or cfg.get('load_from')


def find_checkpoint(checkpoint: str, work_dir: str) -> str | None:
    """Return a checkpoint's path or URL if it exists. For ``'auto'``, return the latest of the work dir, or None."""
    if checkpoint == 'auto':
        latest = find_latest_checkpoint(
            work_dir,
            'Resume from another file with --resume CHECKPOINT, train in another folder (--work-dir), or start again '
            'with --overwrite instead of --resume',
        )
        print_log(f'--resume: {latest or "the work dir has no checkpoint, so a new training starts"}', 'current')
        return latest and str(latest)
    if not checkpoint.startswith(URL_SCHEMES) and not Path(checkpoint).is_file():
        raise CheckpointError(f'--resume {checkpoint}: there is no such file. Pass a path or a URL')
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
    """List the checkpoints and the file ``last_checkpoint`` that a run has written to its work dir."""
    return sorted(path for path in Path(work_dir).glob('*') if RUN_FILE_NAME.fullmatch(path.name) and path.is_file())


@contextmanager
def lock_work_dir(work_dir: str | Path) -> Iterator[None]:
    """Lock a work dir against other trainings. When the process ends or is killed, the lock is released.

    If a new work dir has nothing but the lock in the end, because the run was rejected, it is removed.
    """
    folder = Path(work_dir)
    is_new, lock = not folder.exists(), folder / LOCK_FILE
    folder.mkdir(parents=True, exist_ok=True)
    try:
        file_lock = FileLock(lock).acquire(timeout=LOCK_TIMEOUT)
    except Timeout:
        raise UserError(
            f'another training is running in {work_dir}. Wait until it ends, or train in another folder (--work-dir)'
        ) from None
    with file_lock:
        try:
            yield
        finally:
            if is_new and list(folder.iterdir()) == [lock]:
                lock.unlink()
                folder.rmdir()


def find_changes(cfg: Config) -> dict[str, str]:
    """Log the settings that differ from the resumed run's. Return a dict from each name to ``name: old -> new``."""
    old, new = read_meta(cfg.load_from).get(SETTINGS), get_plain_settings(cfg)
    if not isinstance(old, dict):
        print_log(f'{cfg.load_from} has no settings, so this run cannot log which of them have changed', 'current')
        return {}
    changes = {name: change for name, change in iter_differences(old, new) if name not in IGNORED_SETTINGS}
    if changes:
        lines = '\n  '.join(changes.values())
        print_log(escape_controls(f'resumed with other settings:\n  {lines}'), 'current', logging.WARNING)
    return changes
