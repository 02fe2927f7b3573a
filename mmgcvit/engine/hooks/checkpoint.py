"""Save checkpoints atomically, so that a run that is killed at any moment leaves no truncated checkpoint."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner, find_latest_checkpoint

from ...checkpoints.latest import PREEMPTED_FILE
from ...registry import HOOKS

ATOMIC_BACKEND = 'mmgcvit.AtomicBackend'
TEMPORARY_SUFFIX = '.unfinished'


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

    def remove_outdated(self, kept: Collection[str | None]) -> None:
        """Remove the files, except ``kept``: the last and the best checkpoints, which may have been written again."""
        kept_paths = {Path(path) for path in kept if path}
        for path in self.outdated:
            if path not in kept_paths:
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
            self.find_kept_files(runner)
        if is_main_process():
            # A killed run leaves such files.
            for temporary in Path(self.out_dir).glob(f'*{TEMPORARY_SUFFIX}'):
                temporary.unlink()

    def find_kept_files(self, runner: Runner) -> None:
        """Find the best checkpoints in a moved work dir, and a checkpoint that a killed run should have removed."""
        for name, path in list(self.list_best_checkpoints().items()):
            if path and (moved := Path(self.out_dir, Path(path).name)).is_file():
                runner.message_hub.update_info(name, str(moved))
                if name == 'best_ckpt':
                    self.best_ckpt_path = str(moved)
                else:
                    self.best_ckpt_path_dict[name.removeprefix('best_ckpt_')] = str(moved)
        kept = runner.message_hub.runtime_info.get('keep_ckpt_ids')
        for path in Path(self.out_dir).glob(self.filename_tmpl.format('*')) if kept and self.max_keep_ckpts > 0 else ():
            number = path.stem.rpartition('_')[2]
            if number.isdecimal() and int(number) < max(kept) and int(number) not in kept:
                self.file_backend.remove(path)

    def list_best_checkpoints(self) -> dict[str, str | None]:
        """Return the paths of the best checkpoints by their keys in mmengine's message hub."""
        by_metric = getattr(self, 'best_ckpt_path_dict', None) or {}
        return {
            'best_ckpt': getattr(self, 'best_ckpt_path', None),
            **{f'best_ckpt_{metric}': path for metric, path in by_metric.items()},
        }

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, int]) -> None:
        """Save ``epoch_N.pth`` or ``iter_N.pth``, then remove the checkpoints that are no longer needed."""
        super()._save_checkpoint_with_step(runner, step, meta)
        if is_main_process():
            self.file_backend.remove_outdated([self.last_ckpt, *self.list_best_checkpoints().values()])
            Path(runner.work_dir, PREEMPTED_FILE).unlink(missing_ok=True)
