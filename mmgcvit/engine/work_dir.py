"""Choose the checkpoint that a run resumes from, and allow one training at a time in a work dir.

A training needs a work dir without checkpoints, unless it resumes (``--resume``) or removes them
(``--overwrite``).
"""

import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MMLogger, print_log
from mmengine.runner import Runner as MMEngineRunner

from ..checkpoints.safe_loading import (
    LAST_CHECKPOINT_FILE,
    RUN_FILE_NAME,
    Checkpoint,
    read_for_mmengine,
    read_latest_checkpoint,
)
from ..errors import CheckpointError, UserError, shorten
from ..files import SCORE_THR_FILE, check_writable, is_url, write_text
from ..mmengine_utils import log_warning
from ..private_api import STARTUP_MESSAGES
from .hooks.checkpoint import get_resumed_checkpoint
from .hooks.exact_resume import VALIDATED_FILE
from .hooks.val_visualization import FOLDER as VAL_IMAGES

# In seconds. The data workers of a killed process are forks, which hold its lock until they end.
# On Linux the kernel ends them with it, elsewhere they look for it every second.
LOCK_TIMEOUT = 10


def choose_checkpoint(
    cfg: Config, resume: str | None, overwrite: bool = False
) -> Checkpoint | None:
    """Return the checkpoint that a run resumes or starts from, for ``--resume`` and
    ``--overwrite``.

    ``--resume`` without a checkpoint (``'auto'``) and a config's ``resume=True`` without
    ``load_from`` choose the latest checkpoint of the work dir. If there is none, a new training
    starts, so the same command starts and resumes a job. Raise a CheckpointError if the checkpoint
    cannot be read, or the run would replace or remove others.
    """
    load_from = cfg.get('load_from')
    work_dir = Path(cfg.work_dir)
    if not overwrite:
        if resume or cfg.get('resume'):
            checkpoint = read_resumed(resume or load_from or 'auto', work_dir)
            if checkpoint:
                return checkpoint
        check_unused(work_dir)
    if not load_from:
        return None
    if Path(load_from).resolve() in map(Path.resolve, list_checkpoints(work_dir)):
        raise CheckpointError(
            f'the run would remove load_from={load_from} from its work dir. Copy it to another '
            'folder'
        )
    return read_for_mmengine(load_from, work_dir, is_resumed=False)


def read_resumed(source: str, work_dir: Path) -> Checkpoint | None:
    """Read the checkpoint of ``--resume SOURCE``, or None if it is ``'auto'`` and there is none."""
    if source == 'auto':
        advice = (
            'Add --resume CHECKPOINT with another file, another --work-dir, or --overwrite instead '
            'of --resume'
        )
        checkpoint = read_latest_checkpoint(work_dir, advice)
        found = 'the work dir has no checkpoint, so a new training starts'
        if checkpoint:
            found = checkpoint.source
        print_log(f'--resume: {found}', 'current')
        return checkpoint
    if not is_url(source) and not Path(source).is_file():
        raise CheckpointError(f'--resume {source}: there is no such file. Pass a path or a URL')
    folder = Path(source).parent
    if list_checkpoints(work_dir) and folder.resolve() != work_dir.resolve():
        raise CheckpointError(
            f'--resume {source}: the work dir {work_dir} has checkpoints of another run, which '
            f'the resumed run would replace. Add --work-dir {folder}, or a new one'
        )
    return read_for_mmengine(source, work_dir)


def list_checkpoints(work_dir: Path) -> list[Path]:
    """List the checkpoints and the file ``last_checkpoint`` in a work dir."""
    files = [path for path in work_dir.glob('*.pth') if RUN_FILE_NAME.fullmatch(path.name)]
    files += work_dir.glob(LAST_CHECKPOINT_FILE)
    return sorted(filter(Path.is_file, files))  # those of DeepSpeed are folders


def list_run_files(work_dir: Path) -> list[Path]:
    """List what a run has left in its work dir, except its logs and the data of ``--data``."""
    # A config that a run has written is also in its logs. Users may have other files here.
    written = {path.read_bytes() for path in work_dir.glob('*/vis_data/config.py')}
    files = []
    for path in work_dir.glob('*.py'):
        with suppress(OSError):  # a folder, or a file that cannot be read
            if path.read_bytes() in written:
                files.append(path)
    files += list_checkpoints(work_dir)
    for pattern in (
        VALIDATED_FILE,
        SCORE_THR_FILE,
        f'{VAL_IMAGES}/epoch_*.jpg',
        f'{VAL_IMAGES}/iter_*.jpg',
    ):
        files += work_dir.glob(pattern)
    return files


def check_unused(work_dir: Path) -> None:
    """Raise a CheckpointError if a work dir has checkpoints of an earlier run."""
    names = [path.name for path in list_checkpoints(work_dir)]
    if names:
        raise CheckpointError(
            f"{work_dir} has an earlier run's checkpoints ({shorten(names)}). Continue with "
            '--resume, set another --work-dir, or --overwrite them'
        )


@contextmanager
def lock_work_dir(work_dir: Path) -> Iterator[None]:
    """Create a work dir and lock it against other trainings. When the process ends or is killed,
    the lock is released.

    Raise a UserError if the work dir cannot be written, or another training runs in it.
    """
    check_writable(work_dir, f'the work dir {work_dir} (--work-dir)')
    work_dir.mkdir(parents=True, exist_ok=True)
    with (work_dir / '.lock').open('a+') as lock:
        acquire_lock(lock, work_dir)
        lock.truncate(0)
        lock.write(f'process {os.getpid()} on {socket.gethostname()}')
        lock.flush()
        try:
            yield
        finally:
            # Closing the file does not unlock it while data workers, which are forks, have it open.
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_UN)


def acquire_lock(lock: TextIO, folder: Path) -> None:
    """Lock the lock file of a work dir, or warn if its file system has no locks.

    Raise a UserError if another process keeps it locked.
    """
    end = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:  # another process has it
            if time.monotonic() > end:
                lock.seek(0)
                raise UserError(
                    f'another training is running in {folder} ({lock.read()}). Wait, or set '
                    f'another --work-dir. If its node has failed, remove {lock.name}'
                ) from None
            time.sleep(0.1)
        except OSError as error:
            log_warning(
                f'{folder} cannot be locked ({error.strerror}). Do not start another training in it'
            )
            return


class FormattedConfig(Config):
    """A config that no longer changes: its text is formatted once, which takes a second.

    mmengine formats it at every checkpoint, while the other ranks wait.
    """

    @cached_property
    def pretty_text(self) -> str:
        return super().pretty_text


class Runner(MMEngineRunner):
    """mmengine's runner, except for what it writes outside of a run, and prints before it."""

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """Leave mmengine's hundreds of lines about a start to the log file."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(lambda x: not STARTUP_MESSAGES.match(x.getMessage()))
        return logger

    def dump_config(self) -> None:
        """Write nothing when the runner is built, because the run may still be rejected.

        :class:`StartHook` writes the config of a training. A test leaves its own in the logs only,
        because the files of a run are loaded with the config of their training.
        """

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        """Let ranks exchange results for metrics in the work dir, not in the current folder's
        .dist_test.
        """
        built = super().build_evaluator(evaluator)
        for number, metric in enumerate(built.metrics):
            # By attribute, since most metrics have no argument collect_dir. Each has its own: rank
            # 0 removes it, while others write the results for the next metric.
            if getattr(metric, 'collect_dir', '') is None:
                metric.collect_dir = str(Path(self.log_dir, f'collected{number}'))
        return built


class StartHook(Hook):
    """After the first iteration, where most errors occur, remove an earlier run's files and write
    the config.
    """

    priority = 'HIGH'  # before the hooks that save

    @master_only
    def before_train(self, runner: Runner) -> None:
        work_dir = Path(runner.work_dir)
        resumed = get_resumed_checkpoint(runner)
        source = Path(runner.cfg.filename or f'{runner.timestamp}.py')
        self.is_started = False
        self.config = work_dir / source.name
        self.outdated = []
        if not resumed or resumed.parent.resolve() != work_dir.resolve():
            # Begin with the earlier run's config, so that it is never without its checkpoints or
            # beside those of this run. Keep the one that this run was started with.
            files = [self.config, *list_run_files(work_dir)]
            self.outdated = [file for file in files if file.resolve() != source.resolve()]

    @master_only
    def after_train_iter(self, runner: Runner, **kwargs) -> None:
        if self.is_started:
            return
        for file in self.outdated:
            file.unlink(missing_ok=True)
        write_text(self.config, runner.cfg.dump())
        self.is_started = True

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self.after_train_iter(runner)  # a resumed run may begin with a validation
