"""Show a training's progress as bars, or as a line for each epoch and validation, and log a summary of it."""

import logging
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import TextIOBase
from numbers import Real
from pathlib import Path
from textwrap import shorten
from typing import Any, TextIO

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ...config import can_draw_predictions
from ...mmengine_utils import unwrap_model
from ..loops import get_length
from .skip_nonfinite import SKIPPED_STEPS

# ProgressHook prints log records with this attribute, even if their level is lower than WARNING.
ALWAYS_SHOWN = 'always_shown'
REFRESH_INTERVAL_S = 0.25
# Maximum number of characters of the losses beside a bar.
MAX_NOTE_LENGTH = 50
# Keys of mmengine's message hub. If a run has several metrics, mmengine appends a metric's name to each key.
BEST_CHECKPOINT_KEY, BEST_SCORE_KEY = 'best_ckpt', 'best_score'
# Warnings that ProgressHook does not print, because users can do nothing about them.
HIDDEN_WARNINGS = re.compile(
    '"FileClient" will be deprecated|"HardDiskBackend" is the alias|The prefix is not set in metric class'
    '|Failed to search registry|skip saving parameter schedulers'
)


class ProgressHook(Hook):
    """Show progress bars, and print a line for each epoch, validation and warning. Without a terminal, omit the bars.

    ``--progress`` registers this hook. A config cannot, as the hook needs an open stream. The main thread refreshes
    the bars, because a refreshing thread could cause a deadlock when dataloader workers are forked.
    """

    # Run after the hooks that collect losses and times.
    priority = 'VERY_LOW'

    def __init__(self, terminal: TextIO) -> None:
        self.console = Console(file=terminal, highlight=False, markup=False, emoji=False)
        columns = TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn()
        times = TimeRemainingColumn(compact=True, elapsed_when_finished=True)
        self.bars = Progress(
            *(*columns, times, TextColumn('{task.fields[note]}', style='dim')),
            console=self.console,
            auto_refresh=False,
            disable=not terminal.isatty() or self.console.is_dumb_terminal,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.tasks: list[TaskID] = []
        self.last_refresh = 0.0

    def begin(self, name: str, total: int, done: int = 0) -> None:
        """Add a bar for a loop of ``total`` steps, ``done`` of which are finished."""
        self.tasks.append(self.bars.add_task(name, total=total, completed=done, note=''))
        self.bars.start()

    def advance(self, done: int, note: str = '') -> None:
        """Update the bar of the innermost loop: ``done`` finished steps, and a note beside the bar."""
        self.bars.update(self.tasks[-1], completed=done, note=shorten(note, MAX_NOTE_LENGTH, placeholder=' …'))
        if time.monotonic() - self.last_refresh > REFRESH_INTERVAL_S:
            self.bars.refresh()
            self.last_refresh = time.monotonic()

    def end(self) -> None:
        """Remove the bar of the innermost loop. The bar of the outermost loop stays on the screen."""
        self.bars.refresh()
        task = self.tasks.pop()
        if self.tasks:
            self.bars.remove_task(task)
        else:
            self.bars.stop()

    def print_line(self, text: str) -> None:
        """Print text above the bars."""
        self.console.print(text, soft_wrap=True)

    def before_run(self, runner: Runner) -> None:
        """Add a log handler that prints warnings and :class:`.SummaryHook`'s summary above the bars."""
        handler = logging.Handler()
        handler.emit = lambda record: self.print_line(record.getMessage())
        handler.addFilter(lambda record: record.levelno >= logging.WARNING or hasattr(record, ALWAYS_SHOWN))
        handler.addFilter(lambda record: not HIDDEN_WARNINGS.search(record.getMessage()))
        runner.logger.addHandler(handler)

    def before_train(self, runner: Runner) -> None:
        self.print_line(f'log: {Path(runner.log_dir, runner.timestamp).with_suffix(".log")}')
        self.begin('training', runner.max_iters, runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.advance(runner.iter + 1, ', '.join(f'{k} {v:.4f}' for k, v in average_losses(runner).items()))

    def after_train_epoch(self, runner: Runner) -> None:
        unit, done, length = get_length(runner)
        if unit == 'epoch':
            loss = average_losses(runner).get('loss', float('nan'))
            self.print_line(f'epoch {done + 1} of {length}: loss {loss:.4f}')

    def after_train(self, runner: Runner) -> None:
        self.end()

    def before_val_epoch(self, runner: Runner) -> None:
        self.begin('validating', len(runner.val_dataloader))

    def before_test_epoch(self, runner: Runner) -> None:
        self.begin('testing', len(runner.test_dataloader))

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.advance(batch_idx + 1)

    after_test_iter = after_val_iter

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        self.end()
        scores = (f'{name} {float(score):.4g}' for name, score in (metrics or {}).items() if isinstance(score, Real))
        self.print_line(f'scores: {"  ".join(scores)}')

    after_test_epoch = after_val_epoch


def average_losses(runner: Runner) -> dict[str, float]:
    """Return the total ``loss`` and its terms, averaged over the window of mmengine's log processor."""
    window = runner.log_processor.window_size
    scalars = {name.removeprefix('train/'): values for name, values in runner.message_hub.log_scalars.items()}
    return {name: values.mean(window) for name, values in scalars.items() if 'loss' in name and '/' not in name}


@contextmanager
def open_progress(progress: bool) -> Iterator[ProgressHook | None]:
    """If ``progress``, discard all other output to stdout, and yield a hook on rank 0. Otherwise yield None."""
    if not progress:
        yield None
        return
    hook = ProgressHook(sys.stdout)
    with redirect_stdout(NullStream()):
        try:
            yield hook if os.environ.get('RANK', '0') == '0' else None
        finally:
            hook.bars.stop()


class NullStream(TextIOBase):
    """A text stream that discards what is written. It needs no closing, so loggers may keep it after the run."""

    def write(self, text: str) -> int:
        return len(text)


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
        unit, done, length = get_length(runner)
        if done >= length:
            runner.logger.warning(
                f'this run has already trained {done} of {length} {unit}s. To train longer, raise '
                f'train_cfg.max_{"epochs" if unit == "epoch" else "iters"}, or --epochs if you train with --data'
            )

    @master_only
    def after_train(self, runner: Runner) -> None:
        info, lines = runner.message_hub.runtime_info, ['finished']
        if info.get(SKIPPED_STEPS):
            reason = 'because the loss or gradients were NaN or infinite'
            lines.append(f'skipped training steps, {reason}: {info[SKIPPED_STEPS]}')
        best_keys = [key for key in info if key.startswith(BEST_CHECKPOINT_KEY)]
        for key in best_keys:
            metric = Path(info[key]).name.removeprefix('best_').rsplit('_', 2)[0]
            score = info[key.replace(BEST_CHECKPOINT_KEY, BEST_SCORE_KEY)]
            lines.append(f'best {metric} {score:.4g}: {quote(info[key])}')
        if not best_keys and 'last_ckpt' in info:
            lines.append(f'last checkpoint: {quote(info["last_ckpt"])}')
        can_draw, has_validation = can_draw_predictions(runner.cfg), runner.val_loop is not None
        commands = ['predict {} YOUR_PICTURES', *(['mistakes {}'] if has_validation else []), 'plot {}', 'publish {}']
        if not can_draw:
            commands = ['test {}'] if has_validation else []
        lines += ['next:'] if commands else []
        lines += [f'  mmgcvit {command.format(quote(runner.work_dir))}' for command in commands]
        # With --progress, ProgressHook prints this record in the terminal too.
        runner.logger.info('\n'.join(lines), extra={ALWAYS_SHOWN: True})


def quote(path: str | Path) -> str:
    """Quote a path for a shell. A path inside the current folder becomes relative to it."""
    relative = os.path.relpath(path)
    return shlex.quote(str(path) if relative.startswith('..') else relative)
