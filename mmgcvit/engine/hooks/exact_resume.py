"""Resume runs: store and restore what mmengine's checkpoints lack.

A run is resumed in this order:

1. ``work_dir.py`` locks the work dir and chooses the checkpoint;
2. ``checkpoints/safe_loading.py`` reads the file once, without running code from it;
3. :class:`ExactResumeHook` rebuilds the log histories and passes the position in the data to
   ``loops.py``;
4. mmengine's ``Runner.resume`` restores weights, optimizer, LR schedulers, epoch and iteration;
5. ``new_schedule.py`` recomputes the LR schedule if its settings or the epochs' lengths have
   changed;
6. :class:`ExactResumeHook` reruns an interrupted validation;
7. ``loops.py`` continues, even within an epoch, with the random numbers of an uninterrupted run.
"""

from bisect import bisect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner

from ...errors import CheckpointError
from ...files import write_text
from ...mmengine_utils import call_on_rank_0
from ...registry import HOOKS
from ..loops import DATA_POSITION, ResumableLoop, format_position, get_length
from .checkpoint import get_resumed_checkpoint
from .new_schedule import SETTINGS, get_plain_settings

# A file in the work dir with the epoch or iteration of the last complete validation, such as "epoch
# 3".
VALIDATED_FILE = 'validated'
# The number of iterations whose losses the message hub keeps: more than the averages in logs need.
MAX_HISTORY = 1000


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Let runs resume bit-exactly from checkpoints that ``torch.load`` reads with
    ``weights_only=True``.

    Add the settings and the position in the data of this project's loops to what mmengine saves,
    and convert logs, counters and LR schedulers to tensors and built-in types. A resumed run first
    reruns an interrupted validation. Keep the losses of :data:`MAX_HISTORY` iterations: mmengine
    keeps all, copies them at every update, and saves them.
    """

    # Convert what other hooks have added to a checkpoint, and validate after they have prepared the
    # training.
    priority = 'LOWEST'
    is_training = False

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if isinstance(runner.train_loop, ResumableLoop):
            checkpoint['meta'][DATA_POSITION] = runner.train_loop.get_state(checkpoint['meta'])
        checkpoint['meta'][SETTINGS] = get_plain_settings(runner.cfg)
        for key in checkpoint.keys() & {'meta', 'message_hub', 'param_schedulers'}:
            checkpoint[key] = simplify(checkpoint[key])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        # mmengine also calls this method if load_from is set without resume.
        path = get_resumed_checkpoint(runner)
        if path is None:
            return
        is_own_loop = isinstance(runner.train_loop, ResumableLoop)
        missing = [name for name in ('optimizer', 'message_hub') if name not in checkpoint]
        if is_own_loop and DATA_POSITION not in checkpoint.get('meta', {}):
            missing.append(DATA_POSITION)
        if missing:
            raise CheckpointError(
                f'{path} has no {" and no ".join(missing)}, so a run cannot resume from it. To use '
                f'its weights: --cfg-options load_from={path}'
            )
        logs = checkpoint['message_hub'].get('log_scalars', {})
        for name, log in logs.items():
            if isinstance(log, dict):  # which simplify has made of a HistoryBuffer
                history, counts = log['history'].tolist(), log['counts'].tolist()
                logs[name] = HistoryBuffer(history, counts, log['max_length'])
        if is_own_loop:
            # mmengine continues at this iteration.
            checkpoint['meta']['iter'] = runner.train_loop.resume(checkpoint['meta'])

    def before_train(self, runner: Runner) -> None:
        self.is_training = True
        if call_on_rank_0(is_validation_missing, runner):
            position = format_position(runner)
            runner.logger.info(f'the validation of {position} is missing, so it comes first')
            runner.val_loop.run()

    def after_train_iter(self, runner: Runner, **kwargs: Any) -> None:
        windows = [log.get('window_size') for log in runner.log_processor.custom_cfg]
        if 'epoch' in windows or 'global' in windows:
            return
        for name, history in runner.message_hub.log_scalars.items():
            if name.startswith('train/'):
                history.max_length = MAX_HISTORY

    @master_only
    def after_val_epoch(self, runner: Runner, **kwargs: Any) -> None:
        if self.is_training:
            write_text(Path(runner.work_dir, VALIDATED_FILE), format_position(runner))


def is_validation_missing(runner: Runner) -> bool:
    """Return whether the run that is resumed was interrupted in a validation."""
    path = get_resumed_checkpoint(runner)
    if path is None or not is_validation_due(runner):
        return False
    # The run may continue in another folder than the checkpoint's.
    file = path.parent / VALIDATED_FILE
    return not file.is_file() or file.read_text(errors='replace') != format_position(runner)


def is_validation_due(runner: Runner) -> bool:
    """Return whether mmengine's loop would have validated at the current epoch or iteration."""
    loop, (unit, done, length) = runner.train_loop, get_length(runner)
    if runner.val_loop is None or done < max(loop.val_begin, 1):
        return False
    if unit == 'epoch' and isinstance(loop, ResumableLoop) and loop.batch_sampler.num_done > 0:
        return False  # within an epoch
    interval = loop.dynamic_intervals[bisect(loop.dynamic_milestones, done + 1) - 1]
    return done % interval == 0 or done == length


def simplify(value: Any) -> Any:
    """Convert NumPy and mmengine objects to tensors and built-in types.

    Drop functions, which OneCycleLR saves.
    """
    if isinstance(value, HistoryBuffer):
        history, counts = (torch.from_numpy(np.array(array, float)) for array in value.data)
        return {'history': history, 'counts': counts, 'max_length': value.max_length}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: simplify(item) for key, item in value.items() if not callable(item)}
    if isinstance(value, tuple):
        return tuple(map(simplify, value))
    if isinstance(value, list):
        return list(map(simplify, value))
    return value
