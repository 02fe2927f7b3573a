"""Where a run is saved and resumed: its work dir. All that is known of this is in this file.

A training begins in a work dir without checkpoints (``--overwrite`` removes them after the first iteration), or goes on
from one of them (``--resume``); one training at a time. What is in a checkpoint: ``hooks/checkpoint.py`` and
``hooks/resume.py``.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, get_rank, master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..checkpoints import check_intact
from ..checkpoints.reading import read_meta
from ..config import differences, parse_config, plain_settings
from ..errors import CheckpointError, UserError, printable, shorten
from ..files import ADDRESSES
from .hooks.checkpoint import PREEMPTED

# mmengine writes the path of the last checkpoint into it.
LAST = 'last_checkpoint'
RESUMABLE = re.compile(rf'(epoch|iter)_\d+\.pth|{re.escape(PREEMPTED)}')
OF_A_RUN = re.compile(rf'(best_.+_)?(epoch|iter)_\d+\.pth|{re.escape(PREEMPTED)}|{LAST}')
LOCK = '.lock'
# Data workers of a process that was killed hold its lock until they notice, which takes torch up to 5 seconds.
SECONDS_TO_WAIT = 10
# What --resume itself sets.
OF_THE_COMMAND = ('load_from', 'resume')


def find_latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The last checkpoint of a work dir that is whole; None where there is no checkpoint at all.

    That is the one that ``last_checkpoint`` names; where it is torn or gone, the newest of the others, which is logged.

    Raises:
        CheckpointError: There are checkpoints, and none is whole.
    """
    work_dir = Path(work_dir)
    found = [path for path in work_dir.glob('*.pth') if RESUMABLE.fullmatch(path.name)]
    found.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    if (last := work_dir / LAST).is_file():
        named = Path(last.read_text(errors='replace').strip() or LAST)
        # In this folder first: a work dir may have been moved or copied.
        found = [path for path in (work_dir / named.name, named) if path.is_file() and path != last][:1] + found
    problems = []
    for path in dict.fromkeys(found):
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


def choose_checkpoint(cfg: Config, resume: str | None) -> None:
    """Set what a run starts from: for ``--resume`` the named checkpoint or the latest; for ``'auto'`` maybe none.

    So one command line serves a job that is started again and again. All processes take what rank 0 has found.
    """
    if resume is None and not cfg.get('resume'):
        return
    given = cfg.get('load_from') if resume is None else resume
    name = None if given == 'auto' else given
    if get_rank() == 0:
        if name is None:
            found = find_latest_checkpoint(cfg.work_dir)
            print_log(f'--resume: {found or "no checkpoint yet, training begins"}', 'current')
            name = found and str(found)
        elif not name.startswith(ADDRESSES) and not Path(name).is_file():
            raise CheckpointError(f'--resume {name}: there is no such checkpoint')
    names = [name]
    broadcast_object_list(names)
    cfg.resume, cfg.load_from = True, names[0]


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
    return sorted(path for path in Path(work_dir).glob('*') if OF_A_RUN.fullmatch(path.name) and path.is_file())


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
    changes = [words for name, words in differences(then, now) if name not in OF_THE_COMMAND]
    if changes:
        lines = '\n  '.join(changes)
        print_log(printable(f'resumed with other settings:\n  {lines}'), 'current', logging.WARNING)
