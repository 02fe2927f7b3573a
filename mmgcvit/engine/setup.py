"""Prepare a training or test: machine, config and runner."""

import socket
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook

from ..checkpoints.safe_loading import Checkpoint, safe_checkpoint_loading
from ..errors import UserError
from ..host.config import LOADERS
from ..host.device import check_gpus, disable_cudnn_attention, list_cpus, resolve_device
from .loader_errors import explain_loader_errors
from .runner import FormattedConfig, Runner

# In seconds. Without a timeout, a run waits for ever for a data worker that cannot pass its batch
# on.
LOADER_TIMEOUT = 600


def check_machine(device: str, launcher: str = 'none') -> None:
    """Check the GPUs, set the device, allow TF32 and disable cuDNN's attention.

    Raise a UserError if a step fails.
    """
    check_gpus()
    gpu = resolve_device(device)
    if gpu.index is not None:
        if launcher != 'none':
            raise UserError(
                f'with a launcher, choose GPUs with CUDA_VISIBLE_DEVICES, not with device={device}',
                arguments=['device'],
            )
        torch.cuda.set_device(gpu)
    # As before torch 1.12, let GPUs round the inputs of float32 products to 10 bits of mantissa, as
    # convolutions do by default. NVIDIA_TF32_OVERRIDE=0 forbids both.
    torch.backends.cuda.matmul.allow_tf32 = True
    disable_cudnn_attention()


@contextmanager
def open_runner(
    cfg: Config, checkpoint: Checkpoint | None, hooks: Sequence[Hook]
) -> Iterator[Runner]:
    """Yield a runner of a config, which loads ``checkpoint`` as its ``load_from``, with hooks
    beside the config's.

    Until the context ends, load checkpoints safely, and explain the errors of data workers. The
    config's dataloaders are changed in place (:func:`complete_loader`).
    """
    runner_type = cfg.get('runner_type', 'Runner')
    if runner_type != 'Runner':
        raise UserError(
            f'runner_type={runner_type} is not supported. Remove it, or set runner_type=Runner'
        )
    num_cpus = count_cpus()
    for loader in filter(None, map(cfg.get, LOADERS)):
        complete_loader(loader, num_cpus)
    with safe_checkpoint_loading(cfg.work_dir), explain_loader_errors():
        with warnings.catch_warnings():
            # mmseg's hook, which only draws in tests, warns of it in each training.
            warnings.filterwarnings('ignore', 'The draw is False')
            runner = Runner.from_cfg(FormattedConfig(cfg.to_dict(), cfg.text, cfg.filename))
        runner.checkpoint = checkpoint
        for hook in hooks:
            runner.register_hook(hook)
        yield runner


def complete_loader(loader: ConfigDict, num_cpus: int) -> None:
    """Limit the workers of a dataloader's config, and set a timeout and pinned memory, in place."""
    loader.num_workers = min(loader.get('num_workers', 0), num_cpus)
    loader.setdefault('timeout', LOADER_TIMEOUT)
    if loader.num_workers == 0:
        for name in ('persistent_workers', 'prefetch_factor', 'timeout'):
            loader.pop(name, None)  # torch rejects these settings
    if torch.cuda.is_available():
        loader.setdefault('pin_memory', True)


def count_cpus() -> int:
    """Return the number of CPUs for this rank.

    Launchers differ in whether the ranks of a node share its CPUs.
    """
    cpus = [(socket.gethostname(), cpu) for cpu in list_cpus()]
    num_ranks = Counter(chain.from_iterable(all_gather_object(cpus)))
    return max(1, len(cpus) // max(num_ranks[cpu] for cpu in cpus))
