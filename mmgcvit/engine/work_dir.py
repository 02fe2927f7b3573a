"""Choose the checkpoint that a run resumes from, and allow one training at a time in a work dir.

A training needs a work dir without checkpoints, unless it resumes (``--resume``) or removes them
(``--overwrite``).
"""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner as MMEngineRunner

from ..checkpoints.safe_loading import (
    LAST_CHECKPOINT_FILE,
    RUN_FILE_NAME,
    Checkpoint,
    read_for_mmengine,
    read_latest_checkpoint,
)
from ..config import get_plain_settings, iter_differences
from ..errors import CheckpointError, UserError, escape_controls, shorten
from ..files import check_writable, is_url, write_text
from ..inference.model_files import SCORE_THR_FILE
from .hooks.checkpoint import get_resumed_checkpoint
from .hooks.exact_resume import SETTINGS, VALIDATED_FILE

# In seconds. The dataloader workers of a killed process hold its lock until they exit, up to 5
# seconds later.
LOCK_TIMEOUT = 10


def choose_checkpoint(
    cfg: Config, resume: str | None, overwrite: bool = False
) -> tuple[bool, Checkpoint | None]:
    """Return whether the run resumes, and the checkpoint that it starts from, for ``--resume`` and
    ``--overwrite``.

    ``--resume`` without a checkpoint (``'auto'``) and a config's ``resume=True`` without
    ``load_from`` choose the latest checkpoint of the work dir. If there is none, a new training
    starts, so the same command starts and resumes a job. Raise a CheckpointError if the checkpoint
    cannot be read, or the run would replace or remove others.
    """
    load_from, work_dir, checkpoint = cfg.get('load_from'), Path(cfg.work_dir), None
    is_resumed = not overwrite and bool(resume or cfg.get('resume'))
    source = (resume or load_from or 'auto') if is_resumed else load_from
    checkpoints = list_checkpoints(work_dir)
    if is_resumed and source == 'auto':
        advice = 'Add --resume CHECKPOINT with another file, another --work-dir, or --overwrite instead of --resume'
        checkpoint = read_latest_checkpoint(work_dir, advice)
        is_resumed, source = checkpoint is not None, checkpoint.source if checkpoint else load_from
        found = source if is_resumed else 'the work dir has no checkpoint, so a new training starts'
        print_log(f'--resume: {found}', 'current')
    elif is_resumed and not is_url(source) and not Path(source).is_file():
        raise CheckpointError(f'--resume {source}: there is no such file. Pass a path or a URL')
    elif is_resumed and checkpoints and Path(source).parent.resolve() != work_dir.resolve():
        problem = f'the work dir {work_dir} has checkpoints of another run, which the resumed run would replace'
        raise CheckpointError(
            f'--resume {source}: {problem}. Add --work-dir {Path(source).parent}, or a new one'
        )
    if not is_resumed and not overwrite:
        check_unused(work_dir)
    if not is_resumed and source and Path(source).resolve() in map(Path.resolve, checkpoints):
        raise CheckpointError(
            f'the run would remove load_from={source} from its work dir. Copy it to another folder'
        )
    if source and not checkpoint:
        checkpoint = read_for_mmengine(source, work_dir, is_resumed=is_resumed)
    return is_resumed, checkpoint


def list_checkpoints(work_dir: str | Path) -> list[Path]:
    """List the checkpoints and the file ``last_checkpoint`` that a run has written to its work dir."""
    files = (path for path in Path(work_dir).glob('*') if path.is_file())
    return sorted(
        path
        for path in files
        if path.name == LAST_CHECKPOINT_FILE or RUN_FILE_NAME.fullmatch(path.name)
    )


def check_unused(work_dir: str | Path) -> None:
    """Raise a CheckpointError if a work dir has checkpoints of an earlier run."""
    if checkpoints := list_checkpoints(work_dir):
        problem = f"{work_dir} has an earlier run's checkpoints ({shorten([path.name for path in checkpoints])})"
        raise CheckpointError(
            f'{problem}. Continue with --resume, set another --work-dir, or --overwrite them'
        )


@contextmanager
def lock_work_dir(work_dir: str | Path) -> Iterator[None]:
    """Lock a work dir against other trainings. When the process ends or is killed, the lock is
    released.

    A file system without locks gives a warning. If a new work dir has nothing but the lock in the
    end, because the run was rejected, it is removed, also its new parents. Raise a UserError if the
    work dir cannot be written, or another training runs in it.
    """
    folder = Path(work_dir)
    check_writable(folder, f'the work dir {folder} (--work-dir)')
    lock, new_folders = (
        folder / '.lock',
        [path for path in (folder, *folder.parents) if not path.exists()],
    )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # Soft locks, which are files that exist while a process runs, would remain after the
        # process is killed.
        file_lock = FileLock(lock, fallback_to_soft=False).acquire(timeout=LOCK_TIMEOUT)
    except Timeout:
        problem = f'another training is running in {work_dir} ({lock.read_text(errors="replace")})'
        raise UserError(
            f'{problem}. Wait, or set another --work-dir. If its node has failed, remove {lock}'
        ) from None
    except OSError as error:
        if error.filename is not None:  # the file cannot be opened
            raise
        message = (
            f'{work_dir} cannot be locked ({error.strerror}). Do not start another training in it'
        )
        print_log(message, 'current', logging.WARNING)
        file_lock = nullcontext()
    with file_lock:
        try:
            lock.write_text(f'process {os.getpid()} on {socket.gethostname()}')
            yield
        finally:
            if new_folders and list(folder.iterdir()) == [lock]:
                lock.unlink()
                with suppress(OSError):  # another run may have started in one of them
                    for path in new_folders:
                        path.rmdir()


def find_changes(cfg: Config, meta: Any) -> dict[str, str]:
    """Log the settings that differ from those in a checkpoint's ``meta``.

    Return ``name: old -> new`` by name.
    """
    old, new = meta.get(SETTINGS) if isinstance(meta, dict) else None, get_plain_settings(cfg)
    if not isinstance(old, dict):
        print_log(
            f'{cfg.load_from} has no settings, so this run cannot log which of them have changed',
            'current',
        )
        return {}
    # --resume sets load_from and resume.
    changes = {
        name: change
        for name, change in iter_differences(old, new)
        if name not in ('load_from', 'resume')
    }
    if changes:
        lines = '\n  '.join(changes.values())
        print_log(
            escape_controls(f'resumed with other settings:\n  {lines}'), 'current', logging.WARNING
        )
    return changes


class Runner(MMEngineRunner):
    """mmengine's runner, which does not write its config when it is built, because the run may
    still be rejected.
    """

    def dump_config(self) -> None:
        """Write nothing. :func:`write_config` writes the config."""


@master_only
def write_config(runner: Runner, outdated: Sequence[Path] = ()) -> None:
    """Remove outdated files of an earlier run, and write the config of a run into its work dir,
    atomically.
    """
    cfg, text = runner.cfg, runner.cfg.dump()
    path = Path(
        runner.work_dir, Path(cfg.filename).name if cfg.filename else f'{runner.timestamp}.py'
    )
    # Begin with the earlier run's config, so that it is never without its checkpoints or beside
    # those of this run.
    is_own = cfg.filename and path.exists() and path.samefile(cfg.filename)
    for file in [*([] if is_own or not outdated else [path]), *outdated]:
        file.unlink(missing_ok=True)
    write_text(path, text)


class StartHook(Hook):
    """After the first iteration, where most errors occur, remove an earlier run's files and write
    the config.
    """

    priority = 'HIGH'  # before the hooks that save

    @master_only
    def before_train(self, runner: Runner) -> None:
        work_dir, resumed = Path(runner.work_dir), get_resumed_checkpoint(runner)
        self.is_started, self.outdated = False, []
        if resumed is None or resumed.parent.resolve() != work_dir.resolve():
            self.outdated = [
                *list_checkpoints(work_dir),
                work_dir / VALIDATED_FILE,
                work_dir / SCORE_THR_FILE,
            ]

    @master_only
    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if not self.is_started:
            write_config(runner, self.outdated)
            self.is_started = True

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self.after_train_iter(runner)  # a resumed run may begin with a validation
