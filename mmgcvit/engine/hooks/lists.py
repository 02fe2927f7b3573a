"""The hooks that are added to those of a config: a list for trainings, and one for tests.

mmengine calls hooks by priority, and those of one priority in the order of their registration:
those of the config first, and then those of a list.
"""

from collections.abc import Sequence

from mmengine.hooks import Hook

from .cudnn_benchmark import CudnnBenchmarkHook
from .encode_masks import EncodeMasksHook
from .loader_check import LoaderCheckHook
from .new_schedule import NewScheduleHook
from .patience import PatienceHook
from .progress import ProgressHook
from .signals import SignalHook
from .start import StartHook
from .summary import SummaryHook


def list_train_hooks(progress: ProgressHook | None, patience: int | None) -> list[Hook]:
    """Return the hooks of a training.

    Args:
        progress: The hook that shows the progress, if one does.
        patience: See :class:`.PatienceHook`; None for no limit.
    """
    hooks = [
        CudnnBenchmarkHook(),
        EncodeMasksHook(),
        progress,
        NewScheduleHook(),
        LoaderCheckHook(),
        SignalHook(),
        StartHook(),
        SummaryHook(),
        PatienceHook(patience) if patience else None,
    ]
    return [hook for hook in hooks if hook is not None]


def list_test_hooks(progress: ProgressHook | None, others: Sequence[Hook] = ()) -> list[Hook]:
    """Return the hooks of a test.

    Args:
        progress: The hook that shows the progress, if one does.
        others: Those of the caller, which come last.
    """
    hooks = [
        CudnnBenchmarkHook(),
        EncodeMasksHook(),
        progress,
        LoaderCheckHook(),
        SignalHook(),
        *others,
    ]
    return [hook for hook in hooks if hook is not None]
