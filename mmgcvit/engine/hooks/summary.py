"""Log how long a training takes, and a summary of it."""

import shlex
import time
from math import inf
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...errors import format_count
from ...host.files import make_portable_path
from ..loop_progress import get_progress
from .progress import SHOWN
from .skip_nonfinite import SKIPPED_STEPS

# In seconds, from the first iteration, which is slow and does not tell how long a run takes.
MIN_TIMED = 20


class SummaryHook(Hook):
    """Log soon how long the training takes, and at its end a summary. :class:`.ProgressHook` prints
    both in the terminal too.

    mmengine's logger logs on rank 0 only.
    """

    # Run after the last checkpoint is saved.
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        # When the remaining time is logged
        self.time: float | None = None
        progress = get_progress(runner)
        if progress.done >= progress.planned:
            runner.logger.warning(
                f'this run has already trained {progress.done} of {progress.planned} '
                f'{progress.unit}s. To train longer, raise this number (train_cfg.max_epochs or '
                'max_iters)'
            )

    def after_train_iter(self, runner: Runner, **kwargs: Any) -> None:
        if self.time is None:
            self.time = time.monotonic() + MIN_TIMED
        # Of mmengine's IterTimerHook, without validations.
        seconds = runner.message_hub.runtime_info.get('eta')
        if time.monotonic() > self.time and seconds is not None:
            self.time = inf
            message = f'about {format_duration(seconds)} of training are left, and the validations'
            runner.logger.info(message, extra=SHOWN)

    def after_train(self, runner: Runner) -> None:
        lines = ['finished']
        num_skipped = runner.message_hub.runtime_info.get(SKIPPED_STEPS)
        if num_skipped:
            lines.append(
                f'steps skipped because loss or gradients were NaN or infinite: {num_skipped}'
            )
        lines += format_checkpoints(runner)
        runner.logger.info('\n'.join(lines), extra=SHOWN)


def format_checkpoints(runner: Runner) -> list[str]:
    """Return a line for each best checkpoint of a run, or else one for its last checkpoint."""
    info = runner.message_hub.runtime_info
    lines = []
    # If a run has several metrics, mmengine appends a metric's name to each key.
    for key, path in info.items():
        if key.startswith('best_ckpt'):
            metric = Path(path).name.removeprefix('best_').rsplit('_', 2)[0]
            score = info[key.replace('best_ckpt', 'best_score')]
            lines.append(f'best {metric} {score:.4g}: {quote(path)}')
    if not lines and 'last_ckpt' in info:
        lines.append(f'last checkpoint: {quote(info["last_ckpt"])}')
    return lines


def quote(path: str) -> str:
    """Quote a path for a shell. A path inside the current folder becomes relative to it."""
    return shlex.quote(make_portable_path(path))


def format_duration(seconds: float) -> str:
    """Return a duration in minutes, or in hours from two hours on."""
    minutes = max(1, round(seconds / 60))
    if minutes < 120:
        return format_count(minutes, 'minute')
    return format_count(round(minutes / 60), 'hour')
