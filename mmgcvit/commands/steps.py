"""A command that does its work in steps, each a command of this package in a process of its own."""

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from ..engine.processes import end_with_parent
from .console_log import last_lines, newest_log

SECONDS_TO_END = 5
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM


def end_steps_when_terminated() -> None:
    """Have SIGTERM end this process as an exception does, so that it ends the step that it waits for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))


def run(name: str, *arguments: object, seconds_to_end: float = SECONDS_TO_END) -> float:
    """Run a command of this package; gives the seconds that it took.

    Args:
        name: What one types.
        arguments: What follows it.
        seconds_to_end: How long it may take to end by itself once it is asked to, before it is killed.

    Raises:
        SystemExit: It failed, and has said why, unless a signal ended it.
    """
    began = time.monotonic()
    command = [sys.executable, '-m', 'mmgcvit', name, *map(str, arguments)]
    child = subprocess.Popen(command, preexec_fn=partial(end_with_parent, signal.SIGTERM))
    try:
        code = child.wait()
    except KeyboardInterrupt:
        # From the terminal, which has sent it to the child too.
        wait(child, seconds_to_end)
        raise
    finally:
        end(child, seconds_to_end)
    if code:
        raise SystemExit(code if code > 0 else killed(-code, name, arguments))
    return time.monotonic() - began


def wait(child: subprocess.Popen, seconds: float) -> None:
    """Give a process time to end by itself."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def end(child: subprocess.Popen, seconds: float) -> None:
    """End a process that runs."""
    if child.poll() is None:
        child.terminate()
        wait(child, seconds)
        child.kill()
        child.wait()


def killed(number: int, command: str, arguments: tuple[object, ...]) -> str:
    """What is said of a step that could not say anything itself."""
    by = signal.Signals(number).name
    reason = ', as the system does when memory runs out' if by == 'SIGKILL' else ''
    said = f'{command} was ended by {by}{reason}'
    log = newest_log(Path(arguments[arguments.index('--work-dir') + 1])) if '--work-dir' in arguments else None
    return said if log is None else f'{said}; {last_lines(log)}'
