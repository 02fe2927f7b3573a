"""Let a training replace an earlier run in its work dir once it has begun."""

from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...host.files import write_text
from ...runs.folder import RunFolder
from .checkpoint import get_resumed_checkpoint


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
            files = [self.config, *RunFolder(work_dir).list_leftovers()]
            self.outdated = [file for file in files if file.resolve() != source.resolve()]

    @master_only
    def after_train_iter(self, runner: Runner, **kwargs: Any) -> None:
        if self.is_started:
            return
        for file in self.outdated:
            file.unlink(missing_ok=True)
        write_text(self.config, runner.cfg.dump())
        self.is_started = True

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self.after_train_iter(runner)  # a resumed run may begin with a validation
