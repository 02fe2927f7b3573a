"""A display of progress: bars with the time left on a terminal, a plain line every few seconds elsewhere."""

import time
from datetime import timedelta
from textwrap import shorten
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

# An attribute of log records that a display shows although they are no warnings.
ALWAYS_SHOWN = 'always_shown'
SECONDS_BETWEEN_REFRESHES = 0.25
SECONDS_BETWEEN_LINES = 10.0
LONGEST_LINE = 100


class Display:
    """How far loops within each other are.

    Refreshed by the process's own thread: data workers are forked from it, which may deadlock beside another thread.
    """

    def __init__(self, terminal: TextIO) -> None:
        self.console = Console(file=terminal, highlight=False, markup=False, emoji=False)
        self.draws = terminal.isatty() and not self.console.is_dumb_terminal
        columns = TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn()
        times = TimeRemainingColumn(compact=True, elapsed_when_finished=True)
        # Not drawn, it computes the time left.
        self.bars = Progress(
            *(*columns, times, TextColumn('{task.fields[note]}', style='dim')),
            console=self.console,
            auto_refresh=False,
            disable=not self.draws,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.loops: list[TaskID] = []
        self.shown = time.monotonic()

    def begin(self, name: str, total: int, done: int = 0) -> None:
        """A loop of ``total`` steps begins, or goes on after ``done`` of them."""
        self.loops.append(self.bars.add_task(name, total=total, completed=done, note=''))
        self.bars.start()

    def advance(self, done: int, note: str = '') -> None:
        """So many steps of the innermost loop are done; ``note`` is of the moment."""
        self.bars.update(self.loops[-1], completed=done, note=shorten(note, LONGEST_LINE // 2, placeholder=' …'))
        if time.monotonic() - self.shown < (SECONDS_BETWEEN_REFRESHES if self.draws else SECONDS_BETWEEN_LINES):
            return
        self.shown = time.monotonic()
        self.bars.refresh()
        if not self.draws:
            task = self.bars.tasks[-1]
            left = '' if task.time_remaining is None else f', {timedelta(seconds=int(task.time_remaining))} left'
            text = f'{task.description}: {done} of {task.total:.0f}{left}{note and ", "}{note}'
            self.line(shorten(text, LONGEST_LINE, placeholder=' …'))

    def end(self) -> None:
        """The innermost loop has ended."""
        self.bars.refresh()
        loop = self.loops.pop()
        if self.loops or not self.draws:
            self.bars.remove_task(loop)
        else:
            self.bars.stop()

    def line(self, text: str) -> None:
        """Show something that stays on the screen."""
        self.console.print(text, soft_wrap=True)

    def close(self) -> None:
        """Show nothing more."""
        self.bars.stop()
