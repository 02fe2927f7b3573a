"""Helper functions for mmengine's runners, samples, log, distributed ranks and registry scopes."""

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from io import StringIO
from typing import Any, TypeVar

import torch.distributed as dist
from mmengine.dist import broadcast_object_list, get_rank, is_distributed
from mmengine.logging import MMLogger, print_log
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import DefaultScope
from torch import nn

from ..errors import UserError, escape_controls

T = TypeVar('T')

BUILD_LOCK = threading.RLock()
POLL_INTERVAL = 0.1  # in seconds
# In seconds. The other ranks wait so long for each other: rank 0 takes 10 minutes to score COCO's
# validation images, and an hour or two for LVIS's.
DEFAULT_TIMEOUT = 7200


@contextmanager
def build_in_scope(scope: str) -> Iterator[None]:
    """Set mmengine's default scope, which all threads share, while modules are built.

    A lock lets one thread build.
    """
    with BUILD_LOCK, DefaultScope.overwrite_default_scope(scope):
        yield


def get_timeout(cfg: Mapping[str, Any]) -> timedelta:
    """Return how long ranks wait for each other: ``env_cfg.dist_cfg.timeout`` of a config, in
    seconds, or the default.
    """
    environment = cfg.get('env_cfg') or {}
    settings = environment.get('dist_cfg') or {}
    return timedelta(seconds=settings.get('timeout') or DEFAULT_TIMEOUT)


def call_on_rank_0(
    function: Callable[..., T],
    *args: Any,
    timeout: timedelta = timedelta(seconds=DEFAULT_TIMEOUT),
    **kwargs: Any,
) -> T:
    """Call a function on rank 0 only. Then, on all ranks, return its result or raise an error if it
    raised one: on the other ranks a UserError.

    The others wait up to ``timeout``, and then raise torch's error.
    """
    result: Any = None
    error: BaseException | None = None
    reason = ''
    group = dist.new_group(backend='gloo', timeout=timeout) if is_distributed() else None
    if get_rank() == 0:
        try:
            result = function(*args, **kwargs)
        except BaseException as caught:  # KeyboardInterrupt and SystemExit too
            # The error itself may have attributes that cannot be pickled.
            error = caught
            reason = f'rank 0 stopped: {type(caught).__name__}: {caught}'
    if group:
        barrier = dist.barrier(group, async_op=True)
        while not barrier.is_completed():  # wait() alone would not let Python handle signals
            time.sleep(POLL_INTERVAL)
        barrier.wait()  # raises an error if a rank was killed
        dist.destroy_process_group(group)
        sent: list[Any] = [result, reason]
        broadcast_object_list(sent)
        result, reason = sent
    if reason:
        raise error or UserError(reason)
    return result


def log_warning(message: str) -> None:
    """Log a warning in mmengine's log. Control characters, such as those of file names, are
    escaped.
    """
    print_log(escape_controls(message), 'current', logging.WARNING)


def get_image_name(sample: Any) -> str:
    """Return the path of a sample's image, or ``index N`` if the dataset has no image files."""
    return sample.get('img_path') or f'index {sample.get("sample_idx")}'


def unwrap_model(runner: Any) -> BaseModel:
    """Return a runner's model without a wrapper such as DistributedDataParallel."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def list_optim_wrappers(runner: Any) -> list[OptimWrapper]:
    """Return a runner's optimizer wrapper as a list, or those of several optimizers."""
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, OptimWrapperDict):
        return list(wrapper.values())
    return [wrapper]


def ends_step(runner: Any) -> bool:
    """Return whether the last iteration stepped the optimizers, instead of only accumulating
    gradients.
    """
    return all(wrapper.should_update() for wrapper in list_optim_wrappers(runner))


def list_modules(module: nn.Module) -> list[nn.Module]:
    """Return heads or RoI extractors as a list.

    Cascades have a ModuleList of them, other detectors one module.
    """
    return list(module) if isinstance(module, nn.ModuleList) else [module]


@contextmanager
def silence_output() -> Iterator[None]:
    """Hide what is printed, logged below the level ERROR, and warned about, in all threads of the
    process.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)
