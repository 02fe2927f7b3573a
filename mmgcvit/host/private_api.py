"""Private API of other packages that this package uses: for each, why no public API does it, and
when it can go.

If the installed packages lack it, tests of the callers or of this module fail. Other packages are
imported inside the functions, since commands import this module before they check their arguments.

Not here are the names that pickles contain (``checkpoints/unpickling.py``), the module
``mmcv._ext`` that mmcv imports (``ops/finder.py``), and protected members of base classes that a
subclass overrides.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.visualization import Visualizer
    from mmengine.visualization.vis_backend import BaseVisBackend

# Warnings at import or when a model is built, about which users can do nothing.
NEEDLESS_WARNINGS = (
    'faster_coco_eval is not installed|Default ``avg_non_ignore`` is False|`reduce_zero_label` '
    'will be deprecated'
    "|'pin_memory' argument is set as true but no accelerator|<class .* instance named of "
    'visualizer'
    r'|mm[\w.]+ cannot be imported'  # a command that needs the package raises an error
)
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


def list_vis_backends(visualizer: 'Visualizer') -> Iterable['BaseVisBackend']:
    """Return the backends of a visualizer. Its methods write to all of them.

    Goes when it can list them.
    """
    return visualizer._vis_backends.values()


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
