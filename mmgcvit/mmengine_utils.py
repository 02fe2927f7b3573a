"""Helper functions for mmengine's runners, batches, distributed ranks and registry scopes."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import broadcast_object_list, get_rank, is_distributed
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from .errors import UserError

BUILD_LOCK = threading.RLock()
POLL_INTERVAL = 0.1  # in seconds
MAX_WAIT = timedelta(days=7)  # for a call on rank 0
# In seconds. While the other ranks wait, one prints the error that all have. Then a launcher ends
# all processes: torchrun of torch 2.1 after 5 seconds.
ERROR_DELAY = 8


@contextmanager
def build_in_scope(scope: str) -> Iterator[None]:
    """Set mmengine's default scope, which all threads share, while modules are built.

    A lock lets one thread build.
    """
    with BUILD_LOCK, DefaultScope.overwrite_default_scope(scope):
        yield


def call_on_rank_0(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function on rank 0 only. Then, on all ranks, return its result or raise an error if it
    raised one.

    After a UserError, which rank 0 prints, the other ranks exit. They wait in a process group with
    a long timeout, because the default group's would end the run if the function reads much data
    from a slow disk.
    """
    result, message, error = None, None, None
    group = dist.new_group(backend='gloo', timeout=MAX_WAIT) if is_distributed() else None
    if get_rank() == 0:
        try:
            result = function(*arguments)
        # KeyboardInterrupt and SystemExit too.
        except BaseException as caught:
            error, message = caught, f'{type(caught).__name__}: {caught}'
    if group is not None:
        barrier = dist.barrier(group, async_op=True)
        while not barrier.is_completed():  # wait() alone would not let Python handle signals
            time.sleep(POLL_INTERVAL)
        barrier.wait()  # raises an error if rank 0 was killed
        dist.destroy_process_group(group)
        sent = [result, message, isinstance(error, UserError)]
        broadcast_object_list(sent)
        result, message, is_user_error = sent
    if error is not None:
        raise error
    if message is None:
        return result
    if not is_user_error:
        raise RuntimeError(f'rank 0 stopped: {message}')
    time.sleep(ERROR_DELAY)
    raise SystemExit(1)


def find_suspect_images(batch: Any) -> list[str]:
    """Return the paths of a batch's images with NaN or infinite pixels.

    If none has such pixels, return all paths.
    """
    samples = batch.get('data_samples') if isinstance(batch, Mapping) else None
    names = [get_image_name(sample) for sample in samples] if isinstance(samples, Sequence) else []
    images = zip(names, batch.get('inputs', ()), strict=False) if names else ()
    return [
        name
        for name, image in images
        if isinstance(image, Tensor) and not torch.isfinite(image).all()
    ] or names


def get_image_name(sample: Any) -> str:
    """Return the path of a sample's image, or ``index N`` if the dataset has no image files."""
    return sample.get('img_path') or f'index {sample.get("sample_idx")}'


def unwrap_model(runner: Any) -> nn.Module:
    """Return a runner's model without a wrapper such as DistributedDataParallel."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def list_optim_wrappers(runner: Any) -> list[OptimWrapper]:
    """Return a runner's optimizer wrapper as a list, or those of several optimizers."""
    wrapper = runner.optim_wrapper
    return list(wrapper.values()) if isinstance(wrapper, OptimWrapperDict) else [wrapper]


def list_modules(module: nn.Module) -> list[nn.Module]:
    """Return heads or RoI extractors as a list.

    Cascades have a ModuleList of them, other detectors one module.
    """
    return list(module) if isinstance(module, nn.ModuleList) else [module]
