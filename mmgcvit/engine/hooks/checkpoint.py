"""Save checkpoints atomically, so that a killed run leaves no truncated checkpoint, and load them safely."""

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner, find_latest_checkpoint

from ...checkpoints.safe_loading import LAST_CHECKPOINT_FILE, safe_checkpoint_loading
from ...files import TEMPORARY_SUFFIX, write_atomically, write_text
from ...private_api import get_checkpoint_loader, get_resume_settings
from ...registry import HOOKS

ATOMIC_BACKEND = 'mmgcvit.AtomicBackend'


class AtomicBackend(LocalBackend):
    """A local file backend that writes files atomically."""

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        with write_atomically(Path(filepath)) as temporary:
            temporary.write_bytes(obj)


class DelayedRemovalBackend(AtomicBackend):
    """Atomic backend that removes files later, when :meth:`remove_outdated` is called.

    It never removes files outside of ``folder``: a resumed checkpoint may name the best checkpoint of another run.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).resolve()
        self.outdated: set[str] = set()  # names

    def remove(self, filepath: str | Path) -> None:
        if Path(filepath).parent.resolve() == self.folder:
            self.outdated.add(Path(filepath).name)

    def remove_outdated(self, kept: Collection[str | None]) -> None:
        """Remove the files, except ``kept``: the last and the best checkpoints, which may have been written again."""
        for name in self.outdated - {Path(path).name for path in kept if path}:
            (self.folder / name).unlink(missing_ok=True)
        self.outdated.clear()


register_backend(ATOMIC_BACKEND, AtomicBackend)


def get_resumed_checkpoint(runner: Runner) -> Path | None:
    """Return the path (or URL) of the checkpoint from which a run resumes, or None if the run does not resume."""
    is_resumed, checkpoint = get_resume_settings(runner)
    if not is_resumed:
        return None
    checkpoint = checkpoint or find_latest_checkpoint(runner.work_dir)  # as mmengine's Runner
    return checkpoint and Path(checkpoint)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """Save checkpoints atomically and remove outdated ones afterwards, which needs disk space for one more checkpoint.

    mmengine's ``CheckpointHook`` removes the oldest or the previous best checkpoint before it writes the new one in
    place. So a killed run can leave a truncated checkpoint or none. Its arguments are those of this hook, except
    ``backend_args``, because this hook writes local files only.
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
                self.repair(runner.message_hub.runtime_info)
        if is_main_process():
            # A killed run leaves such files.
            for temporary in Path(self.out_dir).glob(f'*{TEMPORARY_SUFFIX}'):
                temporary.unlink()

    def repair(self, info: Mapping[str, Any]) -> None:
        """Remove the checkpoints that a killed run should have removed, and write ``last_checkpoint`` if it is empty.

        ``info`` is mmengine's runtime info in the last checkpoint. It names the checkpoints to keep.
        """
        kept = {self.filename_tmpl.format(step) for step in info.get('keep_ckpt_ids', ()) if self.max_keep_ckpts > 0}
        kept |= {Path(path).name for name, path in info.items() if name.startswith('best_ckpt') and path}
        steps: dict[str, int] = {}  # the last step to keep, by the rest of the file's name
        for name in kept:
            stem, _, step = Path(name).stem.rpartition('_')
            steps[stem] = max(int(step), steps.get(stem, 0))
        for path in self.file_backend.folder.glob('*.pth'):
            stem, _, step = path.stem.rpartition('_')
            if path.name not in kept and step.isdecimal() and int(step) < steps.get(stem, 0):
                path.unlink()
        file = self.file_backend.folder / LAST_CHECKPOINT_FILE
        if not file.is_file() or not file.read_text():  # mmengine does not write it atomically
            write_text(file, self.last_ckpt)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, int]) -> None:
        """Save ``epoch_N.pth`` or ``iter_N.pth``, then remove the checkpoints that are no longer needed."""
        super()._save_checkpoint_with_step(runner, step, meta)
        if is_main_process():
            by_metric = getattr(self, 'best_ckpt_path_dict', None) or {}
            best = [getattr(self, 'best_ckpt_path', None), *by_metric.values()]
            self.file_backend.remove_outdated([self.last_ckpt, *best])


@HOOKS.register_module()
class SafeLoadHook(Hook):
    """Hook that applies :func:`safe_checkpoint_loading` to the whole run if OpenMMLab's own scripts start it."""

    def __init__(self) -> None:
        self.context = ExitStack()

    def before_run(self, runner: Any) -> None:
        # This package's commands have entered the context already, before they built the runner.
        if get_checkpoint_loader('').__module__ != safe_checkpoint_loading.__module__:
            self.context.enter_context(safe_checkpoint_loading(runner.work_dir))

    def after_run(self, runner: Any) -> None:
        self.context.close()
