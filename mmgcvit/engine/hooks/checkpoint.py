"""Save checkpoints atomically, so that a run killed at any moment keeps a complete last and best one."""

import os
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ...registry import HOOKS

BACKEND = 'mmgcvit.AtomicBackend'
UNFINISHED = '.unfinished'
# mmengine's file with the path of the last checkpoint.
LAST = 'last_checkpoint'
# Saved by PreemptionHook, removed after the next regular checkpoint.
PREEMPTED = 'preempted.pth'


class AtomicBackend(LocalBackend):
    """mmengine's local backend with atomic writes: to a temporary file, flushed and renamed."""

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write a file atomically."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + UNFINISHED)
        try:
            with unfinished.open('wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


class LaterRemovals(AtomicBackend):
    """Delay removals until :meth:`remove_outdated`.

    Files outside of the run's folder are kept: a checkpoint stores the path of the best one.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).resolve()
        self.outdated: list[Path] = []

    def remove(self, filepath: str | Path) -> None:
        if Path(filepath).parent.resolve() == self.folder:
            self.outdated.append(Path(filepath))

    def remove_outdated(self) -> None:
        for path in self.outdated:
            path.unlink(missing_ok=True)
        self.outdated.clear()


register_backend(BACKEND, AtomicBackend)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook`` with atomic writes, which removes outdated checkpoints last.

    mmengine's removes the oldest and the best checkpoint first and then writes in place, so a kill can leave a
    truncated file or none. The disk needs room for one checkpoint more than ``max_keep_ckpts``.

    Args:
        **kwargs: As for ``CheckpointHook``, without ``backend_args``: it writes local files only.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(backend_args={'backend': BACKEND}, **kwargs)

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        self.file_backend = LaterRemovals(self.out_dir)
        if is_main_process():
            for unfinished in Path(self.out_dir).glob(f'*{UNFINISHED}'):
                unfinished.unlink()

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, int]) -> None:
        """Save ``epoch_N.pth`` or ``iter_N.pth``, then remove what it replaces."""
        super()._save_checkpoint_with_step(runner, step, meta)
        if is_main_process():
            self.file_backend.remove_outdated()
            Path(runner.work_dir, PREEMPTED).unlink(missing_ok=True)
