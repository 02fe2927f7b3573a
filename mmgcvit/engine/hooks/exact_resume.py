"""Convert logs and LR schedulers in checkpoints to tensors and built-in types; rebuild the logs on resuming."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner

from ...errors import CheckpointError
from ...registry import HOOKS

# Keys of a checkpoint whose values contain mmengine and NumPy objects.
CONVERTED_KEYS = ('meta', 'message_hub', 'param_schedulers')


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Let runs resume bit-exactly from checkpoints that ``torch.load`` reads with ``weights_only=True``.

    mmengine saves weights, optimizer, LR schedulers, seed, epoch and iteration. This project's loops
    (``mmgcvit.EpochBasedTrainLoop``, ``mmgcvit.IterBasedTrainLoop``) seed the random number generators in each
    iteration. This hook converts logs, counters and LR schedulers in the checkpoint to tensors and built-in types.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        for key in CONVERTED_KEYS:
            if key in checkpoint:
                checkpoint[key] = simplify(checkpoint[key])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        # mmengine also calls this method if load_from is set without resume.
        if not runner._resume:
            return
        is_missing = {
            'optimizer state': 'optimizer' not in checkpoint,
            "log ('message_hub')": 'message_hub' not in checkpoint,
            'iteration number': not {'epoch', 'iter'} <= checkpoint.get('meta', {}).keys(),
        }
        if any(is_missing.values()):
            missing = ' and no '.join(name for name, missing in is_missing.items() if missing)
            raise CheckpointError(
                f'{runner._load_from} has no {missing}, so a run cannot resume from it. To start a new run from its '
                f'weights, replace --resume by --cfg-options load_from={runner._load_from}'
            )
        restore_histories(checkpoint['message_hub'])


def simplify(value: Any) -> Any:
    """Convert NumPy and mmengine objects to tensors and built-in types. Drop functions, which OneCycleLR saves."""
    if isinstance(value, HistoryBuffer):
        history, counts = (torch.from_numpy(np.array(array, float)) for array in value.data)
        return {'history': history, 'counts': counts, 'max_length': value.max_length}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: simplify(item) for key, item in value.items() if not callable(item)}
    if isinstance(value, list | tuple):
        return type(value)(map(simplify, value)) if type(value) in (list, tuple) else list(map(simplify, value))
    return value


def restore_histories(message_hub: dict[str, Any]) -> None:
    """Replace each dict that :func:`simplify` made of a ``HistoryBuffer`` by the ``HistoryBuffer``, in place."""
    logs = message_hub.get('log_scalars', {})
    for name, log in logs.items():
        if isinstance(log, dict):
            logs[name] = HistoryBuffer(log['history'].tolist(), log['counts'].tolist(), log['max_length'])
