"""Remove an earlier run's checkpoints."""

from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..resume import PROGRESS_FILES, list_checkpoints


class OverwriteHook(Hook):
    """Remove an earlier run's checkpoints after the first iteration, where most errors occur.

    These are all checkpoints with ``--overwrite``, and otherwise best checkpoints of a run that was interrupted before
    it saved one that can be resumed.
    """

    # Run before the hooks that save.
    priority = 'HIGH'

    @master_only
    def before_train(self, runner: Runner) -> None:
        progress = (Path(runner.work_dir, name) for name in PROGRESS_FILES)
        self.outdated = [*list_checkpoints(runner.work_dir), *filter(Path.is_file, progress)]

    @master_only
    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        while self.outdated:
            self.outdated.pop().unlink()
