"""Resume runs: store and restore what mmengine's checkpoints lack.

A run is resumed in this order:

1. ``runs/folder.py`` locks the work dir, and ``work_dir.py`` chooses the checkpoint;
2. ``checkpoints/safe_loading.py`` reads the file once, without running code from it;
3. :class:`ExactResumeHook` rebuilds the log histories and passes the position in the data to
   ``sampler.py``;
4. mmengine's ``Runner.resume`` restores weights, optimizer, LR schedulers, epoch and iteration;
5. :class:`.NewScheduleHook` logs which settings have changed, and recomputes the LR schedule if its
   settings or the epochs' lengths have;
6. :class:`ExactResumeHook` reruns an interrupted validation;
7. ``loops.py`` continues, even within an epoch, with the random numbers of an uninterrupted run.
"""

import json
from bisect import bisect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner

from ...checkpoints.grids import SETTINGS
from ...errors import CheckpointError
from ...host.config import list_known_keys
from ...host.runners import call_on_rank_0, get_timeout
from ...registry import HOOKS
from ...runs.folder import RunFolder
from ..loop_progress import format_position, get_progress
from ..loops import DATA_POSITION, ResumableLoop
from .checkpoint import get_resumed_checkpoint

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
        meta = checkpoint['meta']
        if isinstance(runner.train_loop, ResumableLoop):
            meta[DATA_POSITION] = runner.train_loop.get_state(meta)
        meta[SETTINGS] = get_plain_settings(runner.cfg)
        for key in checkpoint.keys() & {'meta', 'message_hub', 'param_schedulers'}:
            checkpoint[key] = simplify(checkpoint[key])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        # mmengine also calls this method if load_from is set without resume.
        path = get_resumed_checkpoint(runner)
        if not path:
            return
        is_own_loop = isinstance(runner.train_loop, ResumableLoop)
        missing = [name for name in ('optimizer', 'message_hub') if name not in checkpoint]
        if is_own_loop and DATA_POSITION not in checkpoint.get('meta', {}):
            missing.append(DATA_POSITION)
        if missing:
            raise CheckpointError(
                f'{path} has no {" and no ".join(missing)}, so a run cannot resume from it. To use '
                f'its weights, set load_from={path}, and resume nothing',
                arguments=['cfg_options', 'resume'],
            )
        logs = checkpoint['message_hub'].get('log_scalars', {})
        for name, log in logs.items():
            if isinstance(log, dict):  # which simplify has made of a HistoryBuffer
                logs[name] = HistoryBuffer(
                    log['history'].tolist(), log['counts'].tolist(), log['max_length']
                )
        if is_own_loop:
            # mmengine continues at this iteration.
            checkpoint['meta']['iter'] = runner.train_loop.resume(checkpoint['meta'])

    def before_train(self, runner: Runner) -> None:
        self.is_training = True
        timeout = get_timeout(runner.cfg)
        if call_on_rank_0(is_validation_missing, runner, timeout=timeout):
            runner.logger.info(
                f'the validation of {format_position(runner)} is missing, so it comes first'
            )
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
            RunFolder(Path(runner.work_dir)).write_validated(format_position(runner))


def is_validation_missing(runner: Runner) -> bool:
    """Return whether the run that is resumed was interrupted in a validation."""
    path = get_resumed_checkpoint(runner)
    if not path or not is_validation_due(runner):
        return False
    # The run may continue in another folder than the checkpoint's.
    return not RunFolder(path.parent).is_validated(format_position(runner))


def is_validation_due(runner: Runner) -> bool:
    """Return whether mmengine's loop would have validated at the current epoch or iteration."""
    loop = runner.train_loop
    progress = get_progress(runner)
    done = progress.done
    if not runner.val_loop or done < max(loop.val_begin, 1):
        return False
    is_by_epoch = progress.unit == 'epoch'
    if is_by_epoch and isinstance(loop, ResumableLoop) and loop.position.num_done:
        return False  # within an epoch
    interval = loop.dynamic_intervals[bisect(loop.dynamic_milestones, done + 1) - 1]
    return done % interval == 0 or done == progress.planned


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


def get_plain_settings(cfg: Config) -> dict[str, Any]:
    """Return a config's settings, without its variables, in types of JSON, as checkpoints store
    them.
    """
    known_keys = list_known_keys()
    settings = {name: value for name, value in cfg.to_dict().items() if name in known_keys}
    # mmengine's Runner copies data_preprocessor into the model. Move it, to compare configs.
    if isinstance(settings.get('model'), dict) and 'data_preprocessor' in settings:
        settings['model'].setdefault('data_preprocessor', settings.pop('data_preprocessor'))
    return json.loads(
        json.dumps(settings, default=lambda value: getattr(value, '__name__', str(value)))
    )
