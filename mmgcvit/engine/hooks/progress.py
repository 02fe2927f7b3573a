"""Show a run's progress as bars, or as a line for each epoch and validation."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from numbers import Real
from pathlib import Path
from typing import Any, TextIO

from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import Progress

from ...host.private_api import HIDDEN_WARNINGS
from ..loop_progress import format_position, get_progress

# The attribute of a log record, given as ``extra``, by which :class:`ProgressHook` shows it.
SHOWN = {'is_shown': True}


class ConsoleHandler(logging.Handler):
    """Print warnings of the log, and records marked by :data:`SHOWN`, above the progress bars."""

    def __init__(self, console: Console):
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        is_shown = record.levelno >= logging.WARNING or hasattr(record, 'is_shown')
        if is_shown and not HIDDEN_WARNINGS.search(message):
            self.console.print(message)


class ProgressHook(Hook):
    """Show progress bars on a terminal, and print a line for each epoch, validation and warning,
    if a run has ``progress``.

    The main thread refreshes the bars: another thread could cause a deadlock when dataloader
    workers are forked.
    """

    # Run after the hooks that collect losses and times.
    priority = 'VERY_LOW'

    def __init__(self, terminal: TextIO):
        self.console = Console(
            file=terminal, highlight=False, markup=False, emoji=False, soft_wrap=True
        )
        self.bars = Progress(
            console=self.console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not terminal.isatty(),
        )

    def before_run(self, runner: Runner) -> None:
        runner.logger.addHandler(ConsoleHandler(self.console))
        self.bars.start()

    def before_train(self, runner: Runner) -> None:
        self.console.print(f'log: {Path(runner.log_dir, runner.timestamp).with_suffix(".log")}')
        self.training = self.bars.add_task(
            'training', total=runner.max_iters, completed=runner.iter
        )

    def after_train_iter(self, runner: Runner, **kwargs: Any) -> None:
        self.bars.update(
            self.training,
            completed=runner.iter + 1,
            description=f'training, {format_loss(runner)}',
            refresh=True,
        )

    def after_train_epoch(self, runner: Runner) -> None:
        progress = get_progress(runner)
        if progress.unit == 'epoch':
            position = f'epoch {progress.done + 1} of {progress.planned}'
            self.console.print(f'{position}: {format_loss(runner)}')

    def before_val_epoch(self, runner: Runner) -> None:
        self.title = f'{format_position(runner)}, scores'
        self.evaluation = self.bars.add_task('validating', total=len(runner.val_dataloader))

    def before_test_epoch(self, runner: Runner) -> None:
        self.title = 'scores'
        self.evaluation = self.bars.add_task('testing', total=len(runner.test_dataloader))

    def after_val_iter(self, runner: Runner, **kwargs: Any) -> None:
        self.bars.update(self.evaluation, advance=1, refresh=True)

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, Any]) -> None:
        self.bars.remove_task(self.evaluation)
        scores = [
            f'{name} {float(score):.4g}'
            for name, score in metrics.items()
            if isinstance(score, Real) and score != -1  # COCO's score without objects
        ]
        self.console.print(f'{self.title}: {"  ".join(scores) or "none"}')

    after_test_iter = after_val_iter
    after_test_epoch = after_val_epoch


def format_loss(runner: Runner) -> str:
    """Return the total loss, averaged over the window of mmengine's log processor, as text."""
    losses = runner.message_hub.log_scalars.get('train/loss')
    if losses is None:
        return 'loss nan'
    return f'loss {losses.mean(runner.log_processor.window_size):.4f}'


@contextmanager
def open_progress(progress: bool) -> Iterator[ProgressHook | None]:
    """If ``progress``, discard all other output to stdout, and yield a hook on rank 0.

    Otherwise yield None.
    """
    if not progress:
        yield None
        return
    hook = ProgressHook(sys.stdout)
    # This file stays open, because loggers may keep it after the run.
    with redirect_stdout(Path(os.devnull).open('w')):
        try:
            yield hook if os.environ.get('RANK', '0') == '0' else None
        finally:
            hook.bars.stop()
