"""Log trainable parameters at the start, and the best checkpoint and next commands at the end of a training."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...config import is_drawn
from ...mmengine_utils import unwrap_model
from .progress import ALWAYS_SHOWN
from .skip_nonfinite import SKIPPED_STEPS

# Keys of mmengine's message hub; with several metrics followed by their names.
BEST, SCORE = 'best_ckpt', 'best_score'


class SummaryHook(Hook):
    """Log trainable parameters at the start and a summary at the end. Registered by ``train``."""

    # After the last checkpoint.
    priority = 'LOWEST'

    @master_only
    def before_train(self, runner: Runner) -> None:
        parameters = list(unwrap_model(runner).parameters())
        total = sum(each.numel() for each in parameters)
        trained = sum(each.numel() for each in parameters if each.requires_grad)
        runner.logger.info(f'{trained / 1e6:.1f} M of {total / 1e6:.1f} M parameters are trainable')

    @master_only
    def after_train(self, runner: Runner) -> None:
        skipped = runner.message_hub.runtime_info.get(SKIPPED_STEPS)
        lines = [f'{skipped} non-finite steps were skipped'] if skipped else []
        lines += [*describe_checkpoints(runner), *suggest_commands(runner)]
        runner.logger.info('\n'.join(['finished', *lines]), extra={ALWAYS_SHOWN: True})


def describe_checkpoints(runner: Runner) -> Iterator[str]:
    """Describe the best checkpoint of each metric, or the last one if there is none."""
    info = runner.message_hub.runtime_info
    best = [name for name in info if name.startswith(BEST)]
    for name in best:
        metric = Path(info[name]).name.removeprefix('best_').rsplit('_', 2)[0]
        yield f'best {metric} {info[name.replace(BEST, SCORE)]:.4g}: {quote(info[name])}'
    if not best and 'last_ckpt' in info:
        yield f'last checkpoint: {quote(info["last_ckpt"])}'


def suggest_commands(runner: Runner) -> list[str]:
    """Suggest the next commands."""
    work_dir = quote(runner.work_dir)
    scored = runner.val_loop is not None
    if not is_drawn(runner.cfg):
        return ['next:', f'  mmgcvit test {work_dir}'] if scored else []
    mistakes = [f'  mmgcvit mistakes {work_dir}'] if scored else []
    publish = f'  mmgcvit publish {work_dir} {quote(Path(runner.work_dir, "model.safetensors"))}'
    return ['next:', f'  mmgcvit predict {work_dir} YOUR_PICTURES', *mistakes, publish]


def quote(path: str | Path) -> str:
    """Quote a path for a shell, relative to the current folder if it is inside."""
    near = os.path.relpath(path)
    return shlex.quote(str(path) if near.startswith('..') else near)
