"""Progress on the screen: a bar on a terminal, a plain line every few seconds elsewhere.

Both displays have what :class:`mmgcvit.engine.progress.Display` asks for, and ``close``.
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from textwrap import shorten
from typing import TextIO

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
