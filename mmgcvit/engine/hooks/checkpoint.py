"""Save checkpoints atomically, so that a run that is killed at any moment leaves no truncated checkpoint."""

import os
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner, find_latest_checkpoint

from ...registry import HOOKS

ATOMIC_BACKEND = 'mmgcvit.AtomicBackend'
TEMPORARY_SUFFIX = '.unfinished'
# mmengine stores the path of the last checkpoint in this file.
LAST_CHECKPOINT_FILE = 'last_checkpoint'
# PreemptionHook saves this checkpoint. AtomicCheckpointHook removes it after saving the next regular one.
PREEMPTED_FILE = 'preempted.pth'


class AtomicBackend(LocalBackend):
    """A local file backend that writes a temporary file, flushes it to disk and then renames it."""

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write a file atomically."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        try:
            with temporary.open('wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


class DelayedRemovalBackend(AtomicBackend):
    """Atomic backend that removes files later, when :meth:`remove_outdated` is called.

    It never removes files outside of ``folder``: a resumed checkpoint may name the best checkpoint of another run.
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


register_backend(ATOMIC_BACKEND, AtomicBackend)


def get_resumed_checkpoint(runner: Runner) -> Path | None:
    """Return the path (or URL) of the checkpoint from which a run resumes, or None if the run does not resume."""
    if not runner._resume:
        return None
    checkpoint = runner._load_from or find_latest_checkpoint(runner.work_dir)  # as mmengine's Runner
    return checkpoint and Path(checkpoint)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """Save checkpoints atomically and remove outdated ones afterwards.

    mmengine's ``CheckpointHook`` removes the oldest or the previous best checkpoint before it writes the new one, and
    it writes in place. So a killed run can leave a truncated checkpoint or none. This hook needs disk space for one
    more checkpoint.

    Args:
        **kwargs: Arguments of ``CheckpointHook`` except ``backend_args``, because the hook writes local files only.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(backend_args={'backend': ATOMIC_BACKEND}, **kwargs)

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        self.file_backend = DelayedRemovalBackend(self.out_dir)
        resumed = get_resumed_checkpoint(runner)
        if resumed and resumed.parent.resolve() == self.file_backend.folder:
            # If the run begins with a validation and its score is the best one, mmengine updates this checkpoint.
            self.last_ckpt = str(resumed)
        if is_main_process():
            # A killed run leaves such files.
            for temporary in Path(self.out_dir).glob(f'*{TEMPORARY_SUFFIX}'):
                temporary.unlink()

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, int]) -> None:
        """Save ``epoch_N.pth`` or ``iter_N.pth``, then remove the checkpoints that are no longer needed."""
        super()._save_checkpoint_with_step(runner, step, meta)
        if is_main_process():
            self.file_backend.remove_outdated()
            Path(runner.work_dir, PREEMPTED_FILE).unlink(missing_ok=True)
