"""Saving a run: every checkpoint is whole or not there, at any moment and after a power cut."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, is_main_process
from mmengine.runner import FlexibleRunner, Runner

from ..checkpoints.newest import LAST
from ..checkpoints.wholeness import add_digest, put_in_place, unfinished_of
from ..checkpoints.work_folder import remove


def save_run(runner: Runner | FlexibleRunner, path: Path, **options: Any) -> None:
    """Have a runner save a checkpoint beside its place, with a digest, flushed to disk; then give it its name.

    To be called by every process; where it fails in one, it ends in all. A checkpoint that is a folder, of which each
    process writes a share, is renamed when all are done, without digests.

    Args:
        runner: Either of mmengine's, with any strategy.
        path: What is there is replaced.
        **options: As for the runner's ``save_checkpoint``.
    """
    unfinished = unfinished_of(path)
    try:
        do_together(lambda: runner.save_checkpoint(str(path.parent), unfinished.name, **options))
        do_in_process_0(lambda: finish(unfinished, path))
    except BaseException:
        if is_main_process():
            remove(unfinished, path.parent)
        raise


def do_together(what: Callable[[], None]) -> None:
    """Do something in all processes, which go on when all have done it.

    Raises:
        Exception: What went wrong in this one.
        SystemExit: It went wrong in another one; they would wait for it.
    """
    failure = None
    try:
        what()
    except Exception as error:
        failure = error
    failures = all_gather_object('' if failure is None else str(failure) or type(failure).__name__)
    if failure is not None:
        raise failure
    elsewhere = next(filter(None, failures), None)
    if elsewhere is not None:
        raise SystemExit(elsewhere)


def do_in_process_0(what: Callable[[], None]) -> None:
    """Do something in the first process; where it fails, all end. See :func:`do_together`."""
    do_together(lambda: what() if is_main_process() else None)


def finish(unfinished: Path, path: Path) -> None:
    """Give what was written beside a place the place."""
    if unfinished.is_dir():
        remove(path, path.parent)
        unfinished.rename(path)
    else:
        add_digest(unfinished)
        put_in_place(unfinished, path)


def name_as_last(path: Path, work_dir: Path, replaced: Sequence[Path] = ()) -> None:
    """Write down which checkpoint is a run's last, where mmengine does, and remove those that it replaces."""
    last = work_dir / LAST
    unfinished_of(last).write_text(str(path))
    put_in_place(unfinished_of(last), last)
    for old in replaced:
        remove(old, old.parent)
