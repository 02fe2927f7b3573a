"""How a run begins: until its first iteration its work dir is as it was, but for logs, which a refusal takes away.

mmengine's runners write their config into the work dir when they are built, over that of a finished run. Here it is
written after the first iteration of a training, and by a test never. Logs are written elsewhere where the work dir's
file system does not append to files, and copied there at the end.
"""

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import FlexibleRunner, Runner
from mmengine.visualization import Visualizer

from ..checkpoints.run_folder import is_taken
from ..errors import UserError
from ..files import from_root, write_text
from ..hosts.comparing import unwrapped


class AsBegun:
    """What a runner does otherwise: it writes no config when built, and its logs where :class:`Beginning` says."""

    logs: Path

    def dump_config(self) -> None:
        """Write nothing; :class:`Beginning` does later."""

    def build_logger(self, log_level: int | str = 'INFO', log_file: str | None = None, **more: Any) -> MMLogger:
        (folder := self.logs / self.timestamp).mkdir(parents=True, exist_ok=True)
        return super().build_logger(log_level, log_file or str(folder / f'{self.timestamp}.log'), **more)

    def build_visualizer(self, visualizer: Visualizer | dict | None = None) -> Visualizer:
        if visualizer is None:
            visualizer = {'type': 'Visualizer', 'vis_backends': [{'type': 'LocalVisBackend'}]}
        if isinstance(visualizer, dict):
            visualizer.setdefault('save_dir', str(self.logs / self.timestamp))
        return super().build_visualizer(visualizer)


class Beginning(Hook):
    """A context from before anything is looked at to a run's end, and a hook of the run.

    A UserError before training or testing begins is a refusal: the logs that this process has made in the work dir are
    removed, with folders that were not there, as the work dir need not be. Other errors leave them.
    """

    priority = 'LOWEST'

    def __init__(self, work_dir: str | Path) -> None:
        self.folder = from_root(work_dir)
        self.made = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        self.before = set(self.folder.glob('*'))
        # What others have made for this run: a log of what it prints, the folder of its config.
        self.files: list[Path] = []
        # What is done to the runner when it is built, as by who shows its progress.
        self.watch: Callable[[Runner | FlexibleRunner], None] = lambda runner: None
        self.has_begun = self.has_written = False
        # Where the run's logs are written.
        self.logs = self.folder

    def build(self, cfg: Config, kind: type | None = None) -> Runner | FlexibleRunner:
        """The runner of a config, or of a kind, that writes no config and has this hook."""
        kind = kind or RUNNERS.get(cfg.get('runner_type', 'Runner'))
        if kind is None:
            raise UserError(
                f'runner_type={cfg.runner_type}: there is no such runner; expected Runner or FlexibleRunner'
            )
        runner = type(kind.__name__, (AsBegun, kind), {'logs': self.logs}).from_cfg(cfg)
        runner.register_hook(self)
        self.watch(runner)
        return runner

    def before_train(self, runner: Runner | FlexibleRunner) -> None:
        self.has_begun = True

    before_test = before_train

    def after_train_iter(self, runner: Runner | FlexibleRunner, *_: Any, **__: Any) -> None:
        """Write the config, once, and as it was given: a host trains it without this project's steps that load."""
        if not self.has_written and is_main_process():
            name = Path(runner.cfg.filename or f'{runner.timestamp}.py').name
            write_text(self.folder / name, Config(unwrapped(runner.cfg.to_dict())).dump())
        self.has_written = True

    def __enter__(self) -> 'Beginning':
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, UserError) and not self.has_begun:
            self.leave()
        elif self.logs != self.folder:
            with suppress(OSError):  # They are where the first line says.
                shutil.copytree(self.logs, self.folder, copy_function=shutil.copyfile, dirs_exist_ok=True)

    def leave(self) -> None:
        """Remove what this process has made, unless another trains there: begun in one second both have one log."""
        for path in self.files:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)
        if self.logs != self.folder:
            shutil.rmtree(self.logs)
        if is_taken(self.folder):
            return
        logger = MMLogger.get_current_instance()
        for handler in [each for each in logger.handlers if isinstance(each, logging.FileHandler)]:
            logs = Path(handler.baseFilename).parent
            folder = self.folder / logs.name
            if logs.parent == self.logs and folder not in self.before:
                logger.removeHandler(handler)
                handler.close()
                shutil.rmtree(folder, ignore_errors=True)
        for folder in self.made:
            with suppress(OSError):  # Somebody else has put something there.
                folder.rmdir()
