"""Log the number of trainable parameters before training. Log the best checkpoint and next commands after it."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...config import can_draw_predictions
from ...mmengine_utils import unwrap_model
from .progress import ALWAYS_SHOWN
from .skip_nonfinite import SKIPPED_STEPS

# Keys of mmengine's message hub. If a run has several metrics, mmengine appends a metric's name to each key.
BEST_CHECKPOINT_KEY, BEST_SCORE_KEY = 'best_ckpt', 'best_score'


class SummaryHook(Hook):
    """Log the number of trainable parameters before training and a summary after it. ``train`` registers this hook."""

    # Run after the last checkpoint is saved.
    priority = 'LOWEST'

    @master_only
    def before_train(self, runner: Runner) -> None:
        model = unwrap_model(runner)
        parameters, rank = list(model.parameters()), getattr(getattr(model, 'backbone', None), 'lora_rank', 0)
        total = sum(parameter.numel() for parameter in parameters)
        trainable = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        lora = f' (LoRA of rank {rank})' if rank else ''
        runner.logger.info(f'{trainable / 1e6:.1f} M of {total / 1e6:.1f} M parameters are trainable{lora}')
        unit, done = ('epochs', runner.epoch) if 'max_epochs' in runner.cfg.train_cfg else ('iters', runner.iter)
        length = runner.cfg.train_cfg[f'max_{unit}']
        if done >= length:
            longer = f'To train longer, raise train_cfg.max_{unit}, or --epochs if you train with --data'
            label = 'epochs' if unit == 'epochs' else 'iterations'
            runner.logger.warning(f'this run has already trained {done} of {length} {label}. {longer}')

    @master_only
    def after_train(self, runner: Runner) -> None:
        skipped = runner.message_hub.runtime_info.get(SKIPPED_STEPS)
        lines = (
            [f'skipped training steps, because the loss or gradients were NaN or infinite: {skipped}']
            if skipped
            else []
        )
        lines += [*describe_checkpoints(runner), *suggest_commands(runner)]
        # With --progress, ProgressHook prints this record in the terminal too.
        runner.logger.info('\n'.join(['finished', *lines]), extra={ALWAYS_SHOWN: True})


def describe_checkpoints(runner: Runner) -> Iterator[str]:
    """Yield a line for the best checkpoint of each metric or, without best checkpoints, for the last one."""
    info = runner.message_hub.runtime_info
    best_keys = [key for key in info if key.startswith(BEST_CHECKPOINT_KEY)]
    for key in best_keys:
        metric = Path(info[key]).name.removeprefix('best_').rsplit('_', 2)[0]
        yield f'best {metric} {info[key.replace(BEST_CHECKPOINT_KEY, BEST_SCORE_KEY)]:.4g}: {quote(info[key])}'
    if not best_keys and 'last_ckpt' in info:
        yield f'last checkpoint: {quote(info["last_ckpt"])}'


def suggest_commands(runner: Runner) -> list[str]:
    """Return lines with commands that a user may run after the training."""
    work_dir = quote(runner.work_dir)
    has_validation = runner.val_loop is not None
    if not can_draw_predictions(runner.cfg):
        return ['next:', f'  mmgcvit test {work_dir}'] if has_validation else []
    mistakes = [f'  mmgcvit mistakes {work_dir}'] if has_validation else []
    predict, publish = f'  mmgcvit predict {work_dir} YOUR_PICTURES', f'  mmgcvit publish {work_dir}'
    return ['next:', predict, *mistakes, f'  mmgcvit plot {work_dir}', publish]


def quote(path: str | Path) -> str:
    """Quote a path for a shell. A path inside the current folder becomes relative to it."""
    relative = os.path.relpath(path)
    return shlex.quote(str(path) if relative.startswith('..') else relative)
