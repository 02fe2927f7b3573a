"""Choose the checkpoint that a run resumes from, and write nothing outside of a run.

A training needs a work dir without checkpoints, unless it resumes (``--resume``) or removes them
(``--overwrite``).
"""

import logging
from functools import cached_property
from multiprocessing import get_all_start_methods, get_start_method
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MMLogger, print_log
from mmengine.model import is_model_wrapper, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner as MMEngineRunner
from torch import nn

from ..checkpoints.safe_loading import Checkpoint, read_for_mmengine
from ..errors import CheckpointError
from ..host.files import is_url, write_text
from ..host.private_api import HIDDEN_WARNINGS, STARTUP_MESSAGES
from ..models.speed_up import choose_linear_kernel, speed_up
from ..runs.folder import RunFolder
from .hooks.checkpoint import get_resumed_checkpoint


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
    run = RunFolder(Path(cfg.work_dir))
    if not overwrite:
        if resume or cfg.get('resume'):
            checkpoint = read_resumed(resume or load_from or 'auto', run)
            if checkpoint:
                return checkpoint
        run.check_unused()
    if not load_from:
        return None
    if Path(load_from).resolve() in map(Path.resolve, run.list_checkpoints()):
        raise CheckpointError(
            f'the run would remove load_from={load_from} from its work dir. Copy it to another '
            'folder'
        )
    return read_for_mmengine(load_from, run.path, is_resumed=False)


def read_resumed(source: str, run: RunFolder) -> Checkpoint | None:
    """Read the checkpoint of ``--resume SOURCE``, or None if it is ``'auto'`` and there is none."""
    if source == 'auto':
        advice = (
            'Add --resume CHECKPOINT with another file, another --work-dir, or --overwrite instead '
            'of --resume'
        )
        checkpoint = run.read_latest_checkpoint(advice)
        found = 'the work dir has no checkpoint, so a new training starts'
        if checkpoint:
            found = checkpoint.source
        print_log(f'--resume: {found}', 'current')
        return checkpoint
    if not is_url(source) and not Path(source).is_file():
        raise CheckpointError(f'--resume {source}: there is no such file. Pass a path or a URL')
    folder = Path(source).parent
    if run.list_checkpoints() and folder.resolve() != run.path.resolve():
        raise CheckpointError(
            f'--resume {source}: the work dir {run.path} has checkpoints of another run, which '
            f'the resumed run would replace. Add --work-dir {folder}, or a new one'
        )
    return read_for_mmengine(source, run.path)


class FormattedConfig(Config):
    """A config that no longer changes: its text is formatted once, which takes a second.

    mmengine formats it at every checkpoint, while the other ranks wait.
    """

    @cached_property
    def pretty_text(self) -> str:
        return super().pretty_text


def is_of_use(record: logging.LogRecord) -> bool:
    """Return whether a message of the log is for the terminal too."""
    message = record.getMessage()
    return not STARTUP_MESSAGES.match(message) and not HIDDEN_WARNINGS.search(message)


class Runner(MMEngineRunner):
    """mmengine's runner, except for what it writes outside of a run, prints before it, and does on
    a Mac, and for faster layers.
    """

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """Spawn data workers where Python does so, as on macOS, whose libraries may crash after a
        fork. mmengine would fork there too, its default and that of the configs.
        """
        mp_cfg = env_cfg.get('mp_cfg') or {}
        # The first of all is the system's default.
        method = get_start_method(allow_none=True) or get_all_start_methods()[0]
        if method == 'spawn':
            mp_cfg = {**mp_cfg, 'mp_start_method': 'spawn'}
        super().setup_env({**env_cfg, 'mp_cfg': mp_cfg})

    def build_model(self, model: nn.Module | dict[str, Any]) -> nn.Module:
        """Build the model and replace layers by faster ones, before a wrapper for several GPUs
        refers to the layers; log which library computes linear layers on CPUs.
        """
        kernel = choose_linear_kernel((self.cfg.get('env_cfg') or {}).get('linear_kernel'))
        built = super().build_model(model)
        speed_up(built, kernel)
        if torch.backends.mkl.is_available() and not torch.cuda.is_available():
            instructions = torch.backends.cpu.get_cpu_capability()
            self.logger.info(
                f'Linear layers are computed by {kernel} (processor: {instructions}; '
                'env_cfg.linear_kernel)'
            )
        return built

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """Leave the model on the CPU where mmengine would move it to an Apple GPU, on which this
        project has not been run.
        """
        if get_device() != 'mps' or is_model_wrapper(model):
            return super().wrap_model(model_wrapper_cfg, model)
        if not self.distributed:
            return revert_sync_batchnorm(model)
        return MODEL_WRAPPERS.build(model_wrapper_cfg, default_args={'module': model})

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Leave mmengine's hundreds of lines about a start, and warnings about which users can do
        nothing, to the log file.
        """
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(is_of_use)
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
