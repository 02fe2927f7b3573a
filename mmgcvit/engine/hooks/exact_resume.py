"""Save logs and LR schedulers as plain values with every checkpoint, and rebuild the log histories on resuming."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner

from ...errors import CheckpointError
from ...registry import HOOKS

# Parts of a checkpoint with objects of mmengine and NumPy.
MADE_PLAIN = ('meta', 'message_hub', 'param_schedulers')


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Make resuming bit-exact, with checkpoints that can be read without running code.

    mmengine's checkpoints have weights, optimizer, LR schedulers, seed, epoch and iteration, and this project's loops
    (``mmgcvit.EpochBasedTrainLoop``, ``mmgcvit.IterBasedTrainLoop``) seed by iteration. This hook saves logs, counters
    and LR schedulers as plain values.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        for part in MADE_PLAIN:
            if part in checkpoint:
                checkpoint[part] = to_plain(checkpoint[part])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        # Also called for load_from without resuming.
        if not runner._resume:
            return
        meta = checkpoint.get('meta', {})
        if not {'epoch', 'iter'} <= meta.keys() or not {'optimizer', 'message_hub'} <= checkpoint.keys():
            raise CheckpointError(
                'the checkpoint cannot be resumed: it lacks the optimizer state or the iteration; to start from its '
                'weights, set load_from instead of --resume'
            )
        restore_histories(checkpoint['message_hub'])


def to_plain(value: Any) -> Any:
    """Convert objects of NumPy and mmengine to plain values; drop the functions that OneCycleLR saves."""
    if isinstance(value, HistoryBuffer):
        history, counts = (torch.from_numpy(np.array(part, float)) for part in value.data)
        return {'history': history, 'counts': counts, 'max_length': value.max_length}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: to_plain(inner) for name, inner in value.items() if not callable(inner)}
    if isinstance(value, list | tuple):
        return type(value)(map(to_plain, value)) if type(value) in (list, tuple) else list(map(to_plain, value))
    return value


def restore_histories(hub: dict[str, Any]) -> None:
    """Rebuild mmengine's ``HistoryBuffer`` from the output of :func:`to_plain`, in place."""
    logs = hub.get('log_scalars', {})
    for name, log in logs.items():
        if isinstance(log, dict):
            logs[name] = HistoryBuffer(log['history'].tolist(), log['counts'].tolist(), log['max_length'])
