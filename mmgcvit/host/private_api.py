"""Private API of other packages that the library uses: for each, why no public API does it, and
when it can go.

If the installed packages lack it, tests of the callers or of this module fail. Other packages are
imported inside the functions, since commands import this module before they check their arguments.

Not here are the names that pickles contain and the base class ``pickle._Unpickler``
(``checkpoints/unpickling.py``), the module ``mmcv._ext`` that mmcv imports (``ops/finder.py``), and
protected members of base classes that a subclass overrides.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

# Warnings that mmengine logs during a run, about which users can do nothing.
HIDDEN_WARNINGS = re.compile(
    '"FileClient" will be deprecated|"HardDiskBackend" is the alias|The prefix is not set in '
    'metric class'
    '|Failed to search registry|skip saving parameter schedulers'
)
# Messages that OpenMMLab packages log before a run starts. mmengine cannot be told to log less.
STARTUP_MESSAGES = re.compile(
    r'\n-+\nSystem environment:|Config:\n|Hooks will be executed|paramwise_options --'
    r'|Distributed training is not used'
    r'|Failed to search registry with scope "\w+" in the "function" registry tree'
)


def get_checkpoint_loaders() -> dict[str, Callable[..., dict[str, Any]]]:
    """Return the functions that load checkpoints, by the prefixes of their paths.

    ``CheckpointLoader`` only registers loaders, so a replaced one could not be restored. Goes when
    OpenMMLab's packages load checkpoints with ``weights_only=True`` and execute no config of a
    checkpoint.
    """
    from mmengine.runner import CheckpointLoader

    return CheckpointLoader._schemes


def get_randomness(runner: Any) -> dict[str, Any]:
    """Return a runner's settings ``randomness``, whether from a config or arguments.

    Goes when it has a property.
    """
    return runner._randomness_cfg


def stop_workers(dataloader: Any) -> None:
    """Stop persistent workers. The next iteration starts new ones, with the current
    ``worker_init_fn``.

    The iteration-based loop of mmengine 0.10.7 starts them when it is built. At the end of a run,
    they would wait for Python's garbage collector, which waits 5 seconds for each.
    """
    iterator = dataloader._iterator
    dataloader._iterator = None
    # Its __del__ would do it too, but there Python ignores the KeyboardInterrupt of a signal.
    if hasattr(iterator, '_shutdown_workers'):
        iterator._shutdown_workers()


def list_loader_modules() -> tuple[str, ...]:
    """Return the names of torch's modules that look after data workers, and raise errors if one is
    dead or late.

    Goes when torch raises errors of a type of their own.
    """
    from torch.utils.data import dataloader
    from torch.utils.data._utils import signal_handling

    return dataloader.__name__, signal_handling.__name__


@contextmanager
def run_without_ranks() -> Iterator[None]:
    """Let OpenMMLab's packages work as in a single process: they ask torch whether it has a default
    process group.

    Goes when mmdet's losses can be told not to average over ranks.
    """
    import torch.distributed as dist

    world = dist.group.WORLD
    dist.group.WORLD = None
    try:
        yield
    finally:
        dist.group.WORLD = world


def is_batch_norm(module: Any) -> bool:
    """Return whether a module is a batch norm of torch, of any number of dimensions.

    Goes when their base class is public.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    return isinstance(module, _BatchNorm)


def may_count_batches(module: Any) -> bool:
    """Return whether a module is a batch norm or instance norm of torch, which may have the buffer
    ``num_batches_tracked``.

    Goes when their base class is public.
    """
    from torch.nn.modules.batchnorm import _NormBase

    return isinstance(module, _NormBase)


def list_archived_records(path: Path) -> list[str]:
    """Return the names of the records in a zip file as ``torch.load`` reads them: those of
    ``zipfile`` begin with the name of a folder, which differs between files.

    Goes when torch tells a TorchScript file from others.
    """
    from torch import _C

    return _C.PyTorchFileReader(str(path)).get_all_records()


def patch_compiler(**settings: Any) -> AbstractContextManager[None]:
    """Return a context manager that changes settings of torch.compile.

    Goes when ``torch.compiler.config`` has them.
    """
    from torch._dynamo import config  # takes seconds

    return config.patch(**settings)


def is_converting_channels(preprocessor: Any) -> bool:
    """Return whether a preprocessor makes RGB of mmcv's BGR, by one of three names.

    Goes when it is public in all.
    """
    return any(
        getattr(preprocessor, name, False)
        for name in ('_channel_conversion', 'channel_conversion', 'to_rgb')
    )


def predicts_softmax(head: Any) -> bool:
    """Return whether a classifier predicts one label by softmax (ClsHead).

    Goes when heads name their activation.
    """
    from mmpretrain.models import ClsHead

    return isinstance(head, ClsHead) and type(head)._get_predictions is ClsHead._get_predictions


def replace_globals(function: FunctionType, **replaced: Any) -> FunctionType:
    """Return a copy of a function that finds other values under some global names. The function
    itself stays as it is. Raise a NameError if it does not use one of the names.

    For mmdet's CocoMetric, which names its evaluation. Goes when that is a class attribute.
    """
    unused = {*replaced} - {*function.__code__.co_names}
    if unused:
        raise NameError(f'{function.__qualname__} does not use {", ".join(sorted(unused))}')
    names = {**function.__globals__, **replaced}
    return FunctionType(
        code=function.__code__,
        globals=names,
        name=function.__name__,
        argdefs=function.__defaults__,
    )
