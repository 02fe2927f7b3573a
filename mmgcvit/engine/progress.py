"""Progress on the screen: a bar on a terminal, a plain line every few seconds elsewhere.

Both displays have what :class:`mmgcvit.engine.progress.Display` asks for, and ``close``.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from numbers import Real
from textwrap import shorten
from typing import Any, Protocol, TextIO

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

SECONDS_BETWEEN_REFRESHES = 0.25
SECONDS_BETWEEN_LINES = 10.0
LONGEST_LINE = 100


def display_for(terminal: TextIO) -> 'Bars | Lines':
    """The display that fits where it is written to."""
    console = Console(file=terminal, highlight=False, markup=False)
    return Bars(console) if terminal.isatty() and not console.is_dumb_terminal else Lines(terminal)


class BarsWithNote(Progress):
    """rich's bars with a line of the moment below them."""

    note = ''

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        if self.note:
            yield Text(self.note, style='dim', no_wrap=True, overflow='ellipsis')


class Bars:
    """A bar for the run with the time left, and one more while it is validated.

    Drawn by the process's own thread, when there is news: worker processes are forked from it, which goes badly while
    another thread holds a lock.
    """

    def __init__(self, console: Console) -> None:
        self.progress = BarsWithNote(
            TextColumn('{task.description}'),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
            auto_refresh=False,
            expand=True,
            # The stream that it writes to is not the process's own.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.tasks: list[TaskID] = []
        self.refreshed = 0.0

    def begin(self, name: str, total: int, done: int = 0) -> None:
        self.tasks.append(self.progress.add_task(name, total=total, completed=done))
        self.progress.start()
        # A process that is killed cannot bring the cursor back.
        self.progress.console.show_cursor(True)
        self.progress.refresh()

    def advance(self, done: int, note: str = '') -> None:
        self.progress.note = note
        self.progress.update(self.tasks[-1], completed=done)
        if time.monotonic() - self.refreshed > SECONDS_BETWEEN_REFRESHES:
            self.progress.refresh()
            self.refreshed = time.monotonic()

    def end(self) -> None:
        task = self.tasks.pop()
        self.progress.note = ''
        if self.tasks:
            self.progress.remove_task(task)
            self.progress.refresh()
        else:
            self.progress.stop()

    def line(self, text: str) -> None:
        self.progress.console.print(text)

    def close(self) -> None:
        self.progress.note = ''
        self.progress.stop()


class Lines:
    """Plain lines, for files, pipes and terminals that cannot move the cursor."""

    def __init__(self, terminal: TextIO) -> None:
        self.terminal = terminal
        # Never drawn: it knows the time left.
        self.progress = Progress(disable=True)
        self.tasks: list[Task] = []
        self.written = time.monotonic()

    def begin(self, name: str, total: int, done: int = 0) -> None:
        self.progress.add_task(name, total=total, completed=done)
        self.tasks.append(self.progress.tasks[-1])

    def advance(self, done: int, note: str = '') -> None:
        task = self.tasks[-1]
        self.progress.update(task.id, completed=done)
        if time.monotonic() - self.written > SECONDS_BETWEEN_LINES:
            left = '' if task.time_remaining is None else f', {timedelta(seconds=int(task.time_remaining))} left'
            text = f'{task.description}: {done} of {task.total:.0f}{left}{note and ", "}{note}'
            self.line(shorten(text, LONGEST_LINE, placeholder=' …'))

    def end(self) -> None:
        self.progress.remove_task(self.tasks.pop().id)

    def line(self, text: str) -> None:
        self.terminal.write(f'{text}\n')
        self.terminal.flush()
        self.written = time.monotonic()

    def close(self) -> None:
        """Nothing is left to be done."""


# What COCO's evaluation gives beside the mean over thresholds; -1 stands for sizes that no object has.
PARTS_OF_A_MEAN = re.compile(r'_mAP_(50|75|s|m|l)$')


class Display(Protocol):
    """What shows it."""

    def begin(self, name: str, total: int, done: int = 0) -> None:
        """A loop of ``total`` steps begins, or goes on after ``done`` of them."""

    def advance(self, done: int, note: str = '') -> None:
        """So many steps of the latest loop are done; ``note`` is of the moment."""

    def end(self) -> None:
        """The latest loop has ended; one around it goes on."""

    def line(self, text: str) -> None:
        """Something to stay on the screen."""


class ProgressHook(Hook):
    """Tells a display of every iteration, and of every epoch's losses and every validation's scores.

    Built and registered by the command lines, not by configs: displays hold an open terminal.
    """

    # After the hooks that gather losses and times.
    priority = 'VERY_LOW'

    def __init__(self, display: Display) -> None:
        self.display = display

    def before_train(self, runner: Runner) -> None:
        self.display.begin('training', runner.max_iters, runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        self.display.advance(runner.iter + 1, in_words(losses(runner)))

    def after_train_epoch(self, runner: Runner) -> None:
        if not counts_iterations(runner):
            total = {name: value for name, value in losses(runner).items() if name == 'loss'}
            self.display.line(f'epoch {runner.epoch + 1} of {runner.max_epochs}: {in_words(total)}')

    def after_train(self, runner: Runner) -> None:
        self.display.end()

    def before_val_epoch(self, runner: Runner) -> None:
        self.display.begin('validating', len(runner.val_dataloader))

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        self.display.advance(batch_idx + 1)

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        self.display.end()
        self.display.line(f'{position(runner)} validated: {shown_scores(metrics or {})}')

    def before_test_epoch(self, runner: Runner) -> None:
        self.display.begin('testing', len(runner.test_dataloader))

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        self.display.advance(batch_idx + 1)

    def after_test_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        self.display.end()
        self.display.line(f'tested: {shown_scores(metrics or {})}')


def counts_iterations(runner: Runner) -> bool:
    """Whether a training's length is given in iterations instead of epochs."""
    return isinstance(runner.train_loop, IterBasedTrainLoop)


def position(runner: Runner) -> str:
    """How far training is, once an epoch or iteration has been counted."""
    if counts_iterations(runner):
        return f'iteration {runner.iter} of {runner.max_iters}'
    return f'epoch {runner.epoch} of {runner.max_epochs}'


def losses(runner: Runner) -> dict[str, float]:
    """The total loss, called ``loss``, and its parts: means over the window that the run's log uses."""
    window = runner.log_processor.window_size
    scalars = {name.removeprefix('train/'): values for name, values in runner.message_hub.log_scalars.items()}
    return {name: values.mean(window) for name, values in scalars.items() if 'loss' in name and '/' not in name}


def in_words(values: Mapping[str, float]) -> str:
    """Losses in one line."""
    return ', '.join(f'{name} {value:.4f}' for name, value in values.items())


def shown_scores(metrics: Mapping[str, Any]) -> str:
    """Scores in one line, of a mean and its parts the mean."""
    return '  '.join(f'{name} {value:.4g}' for name, value in numbers(metrics) if not PARTS_OF_A_MEAN.search(name))


def numbers(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The metrics that are single numbers."""
    return ((name, float(value)) for name, value in metrics.items() if isinstance(value, Real))
