"""mmengine's Runner as this project's commands use it."""

import logging
from collections.abc import Mapping
from functools import cached_property
from multiprocessing import get_all_start_methods, get_start_method
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner as MMEngineRunner
from mmengine.runner import load_state_dict
from torch import nn

from ..checkpoints.class_rows import InitialWeights
from ..checkpoints.safe_loading import Checkpoint
from ..host.private_api import HIDDEN_WARNINGS, STARTUP_MESSAGES
from ..host.runners import unwrap_model
from ..models.speed_up import choose_linear_kernel, speed_up
from .hooks.progress import SHOWN


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
    """mmengine's runner, except for how it loads checkpoints, what it writes outside of a run, what
    it prints before it, and what it does on a Mac, and for faster layers.
    """

    # The checkpoint that the run resumes from or starts with: read, and fitted to the model
    checkpoint: Checkpoint | None = None
    # What it has of the model, if the run starts with a part of it
    initial_weights: InitialWeights | None = None
    # What checkpoints also have in their meta, in built-in types
    meta: Mapping[str, Any] = MappingProxyType({})

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

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load :attr:`checkpoint`, and forget it, so that its memory is free when mmengine has
        taken what it needs. Without one, load the file as mmengine does.

        mmengine would read the file again, and leave tensors that do not fit as they are.
        """
        if self.checkpoint is None:
            return super().load_checkpoint(filename, *args, **kwargs)
        content = self.checkpoint.take_content()
        self.checkpoint = None
        model = unwrap_model(self)
        if self.initial_weights is not None:
            tensors = self.initial_weights.complete(content['state_dict'], model.state_dict())
            content['state_dict'] = tensors
            self.logger.info(self.initial_weights.report, extra=SHOWN)
            self.initial_weights = None
        self.call_hook('after_load_checkpoint', checkpoint=content)
        load_state_dict(model, content['state_dict'], strict=True)
        self.logger.info(f'Load checkpoint from {filename}')
        return content

    def save_checkpoint(
        self, *args: Any, meta: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().save_checkpoint(*args, meta={**self.meta, **(meta or {})}, **kwargs)

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

        :class:`.StartHook` writes the config of a training. A test leaves its own in the logs only,
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
