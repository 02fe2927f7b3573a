"""Show a run's progress instead of its log: bars on a terminal, and a line for each epoch and validation."""

import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import TextIOBase
from numbers import Real
from pathlib import Path
from textwrap import shorten
from typing import Any, TextIO

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

# An attribute of log records that ProgressHook shows although they are no warnings.
ALWAYS_SHOWN = 'always_shown'
SECONDS_BETWEEN_REFRESHES = 0.25
LONGEST_NOTE = 50
# Warnings that nobody who starts a run can use: of mmengine's CheckpointHook about its own calls, of names of scores,
# and of registries that it searches beside its own.
NEEDLESS = re.compile(
    '"FileClient" will be deprecated|"HardDiskBackend" is the alias|The prefix is not set in metric class'
    '|Failed to search registry|skip saving parameter schedulers'
)


class ProgressHook(Hook):
    """Show bars, and above them a line for each epoch, score and warning; without a terminal only the lines.

    Registered by ``--progress``, not by configs: it holds an open terminal. Bars are refreshed by the process's own
    thread: data workers are forked from it, which may deadlock beside another thread.
    """

    # After the hooks that gather losses and times.
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
        self.loops: list[TaskID] = []
        self.refreshed = 0.0

    def begin(self, name: str, total: int, done: int = 0) -> None:
        """Start a loop of ``total`` steps, or go on with it after ``done`` of them."""
        self.loops.append(self.bars.add_task(name, total=total, completed=done, note=''))
        self.bars.start()

    def advance(self, done: int, note: str = '') -> None:
        """Set the steps of the innermost loop that are done, with a note."""
        self.bars.update(self.loops[-1], completed=done, note=shorten(note, LONGEST_NOTE, placeholder=' …'))
        if time.monotonic() - self.refreshed > SECONDS_BETWEEN_REFRESHES:
            self.bars.refresh()
            self.refreshed = time.monotonic()

    def end(self) -> None:
        """End the innermost loop; the outermost one's bar stays on the screen."""
        self.bars.refresh()
        loop = self.loops.pop()
        if self.loops:
            self.bars.remove_task(loop)
        else:
            self.bars.stop()

    def line(self, text: str) -> None:
        """Print a line that stays on the screen."""
        self.console.print(text, soft_wrap=True)

    def before_run(self, runner: Runner) -> None:
        """Show the log's warnings and its summary; the rest of it is in its file."""
        shown = logging.Handler()
        shown.emit = lambda record: self.line(record.getMessage())
        shown.addFilter(lambda record: record.levelno >= logging.WARNING or hasattr(record, ALWAYS_SHOWN))
        shown.addFilter(lambda record: not NEEDLESS.search(record.getMessage()))
        runner.logger.addHandler(shown)

    def before_train(self, runner: Runner) -> None:
        self.line(f'log: {Path(runner.log_dir, runner.timestamp).with_suffix(".log")}')
        self.begin('training', runner.max_iters, runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.advance(runner.iter + 1, ', '.join(f'{k} {v:.4f}' for k, v in mean_losses(runner).items()))

    def after_train_epoch(self, runner: Runner) -> None:
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            loss = mean_losses(runner).get('loss', float('nan'))
            self.line(f'epoch {runner.epoch + 1} of {runner.max_epochs}: loss {loss:.4f}')

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
        self.line('scores: ' + format_scores(metrics or {}))

    after_test_epoch = after_val_epoch


def mean_losses(runner: Runner) -> dict[str, float]:
    """The total loss, called ``loss``, and its parts: means over the window that the run's log uses."""
    window = runner.log_processor.window_size
    scalars = {name.removeprefix('train/'): values for name, values in runner.message_hub.log_scalars.items()}
    return {name: values.mean(window) for name, values in scalars.items() if 'loss' in name and '/' not in name}


def format_scores(metrics: Mapping[str, Any]) -> str:
    """Scores that are single numbers, in one line."""
    return '  '.join(f'{name} {float(value):.4g}' for name, value in metrics.items() if isinstance(value, Real))


@contextmanager
def open_progress(progress: bool) -> Iterator[ProgressHook | None]:
    """For ``--progress``, a hook that writes to stdout; all else that the run prints goes to its log file.

    None without ``progress``, and in other processes than the first.
    """
    if not progress:
        yield None
        return
    hook = ProgressHook(sys.stdout)
    with redirect_stdout(Nothing()):
        try:
            yield hook if os.environ.get('RANK', '0') == '0' else None
        finally:
            hook.bars.stop()


class Nothing(TextIOBase):
    """A stream that takes text and drops it; unlike an open ``os.devnull`` it may outlive the run, as loggers do."""

    def write(self, text: str) -> int:
        return len(text)
