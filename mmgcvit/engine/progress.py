"""Progress on the screen: a bar on a terminal, a plain line every few seconds elsewhere."""

import re
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from numbers import Real
from textwrap import shorten
from typing import Any, TextIO

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# What a log's record has that is shown with progress, though it is no warning.
TO_STAY = 'to_stay'
SECONDS_BETWEEN_REFRESHES = 0.25
SECONDS_BETWEEN_LINES = 10.0
LONGEST_LINE = 100
# What COCO's evaluation gives beside the mean over thresholds; -1 stands for sizes that no object has.
PARTS_OF_A_MEAN = re.compile(r'_mAP_(50|75|s|m|l)$')


class Bars(Progress):
    """rich's bars with a line of the moment below them."""

    note = ''

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        if self.note:
            yield Text(self.note, style='dim', no_wrap=True, overflow='ellipsis')


class Display:
    """How far loops within each other are: bars with the time left, or lines where the cursor cannot be moved.

    Drawn by the process's own thread, when there is news: worker processes are forked from it, which goes badly while
    another thread holds a lock.
    """

    def __init__(self, terminal: TextIO) -> None:
        self.console = Console(file=terminal, highlight=False, markup=False, emoji=False)
        self.draws = terminal.isatty() and not self.console.is_dumb_terminal
        # Not drawn it knows the time left.
        self.bars = Bars(
            TextColumn('{task.description}'),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self.console,
            auto_refresh=False,
            expand=True,
            disable=not self.draws,
            # The stream that it writes to is not the process's own.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.loops: list[TaskID] = []
        self.shown = time.monotonic()

    def begin(self, name: str, total: int, done: int = 0) -> None:
        """A loop of ``total`` steps begins, or goes on after ``done`` of them."""
        self.loops.append(self.bars.add_task(name, total=total, completed=done))
        if self.draws:
            self.bars.start()
            # A process that is killed cannot bring the cursor back.
            self.console.show_cursor(True)
            self.bars.refresh()

    def advance(self, done: int, note: str = '') -> None:
        """So many steps of the latest loop are done; ``note`` is of the moment."""
        self.bars.note = note
        self.bars.update(self.loops[-1], completed=done)
        if time.monotonic() - self.shown < (SECONDS_BETWEEN_REFRESHES if self.draws else SECONDS_BETWEEN_LINES):
            return
        self.shown = time.monotonic()
        if self.draws:
            self.bars.refresh()
            return
        task = self.bars.tasks[-1]
        left = '' if task.time_remaining is None else f', {timedelta(seconds=int(task.time_remaining))} left'
        text = f'{task.description}: {done} of {task.total:.0f}{left}{note and ", "}{note}'
        self.line(shorten(text, LONGEST_LINE, placeholder=' …'))

    def end(self) -> None:
        """The latest loop has ended; one around it goes on."""
        self.bars.note = ''
        loop = self.loops.pop()
        if self.loops or not self.draws:
            self.bars.remove_task(loop)
            self.bars.refresh()
        else:
            self.bars.stop()

    def line(self, text: str) -> None:
        """Something to stay on the screen."""
        self.console.print(text, soft_wrap=True)

    def close(self) -> None:
        """Nothing more is shown."""
        self.bars.note = ''
        if self.draws:
            self.bars.stop()


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

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.display.advance(runner.iter + 1, in_words(losses(runner)))

    def after_train_epoch(self, runner: Runner) -> None:
        if not counts_iterations(runner):
            total = {name: value for name, value in losses(runner).items() if name == 'loss'}
            self.display.line(f'epoch {runner.epoch + 1} of {runner.max_epochs}: {in_words(total)}')

    def after_train(self, runner: Runner) -> None:
        self.display.end()

    def before_val_epoch(self, runner: Runner) -> None:
        self.display.begin('validating', len(runner.val_dataloader))

    def before_test_epoch(self, runner: Runner) -> None:
        self.display.begin('testing', len(runner.test_dataloader))

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.display.advance(batch_idx + 1)

    after_test_iter = after_val_iter

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        place = f'epoch {runner.epoch} of {runner.max_epochs}'
        if counts_iterations(runner):
            place = f'iteration {runner.iter} of {runner.max_iters}'
        self.display.end()
        self.display.line(f'{place} validated: {shown_scores(metrics or {})}')

    def after_test_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        self.display.end()
        self.display.line(f'tested: {shown_scores(metrics or {})}')


def counts_iterations(runner: Runner) -> bool:
    """Whether a training's length is given in iterations instead of epochs."""
    return isinstance(runner.train_loop, IterBasedTrainLoop)


def losses(runner: Runner) -> dict[str, float]:
    """The total loss, called ``loss``, and its parts: means over the window that the run's log uses."""
    window = runner.log_processor.window_size
    scalars = {name.removeprefix('train/'): values for name, values in runner.message_hub.log_scalars.items()}
    return {name: values.mean(window) for name, values in scalars.items() if 'loss' in name and '/' not in name}


def in_words(values: Mapping[str, float]) -> str:
    """Losses in one line."""
    return ', '.join(f'{name} {value:.4f}' for name, value in values.items())


def shown_scores(metrics: Mapping[str, Any]) -> str:
    """Scores that are single numbers in one line, of a mean and its parts the mean."""
    numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, Real)}
    return '  '.join(f'{name} {value:.4g}' for name, value in numbers.items() if not PARTS_OF_A_MEAN.search(name))
