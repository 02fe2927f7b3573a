"""A command that does its work in steps, each a command of this package in a process of its own."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from .screen import last_lines, newest_log

SECONDS_TO_END = 5
TERMINATED = 128 + signal.SIGTERM


def end_steps_when_terminated() -> None:
    """Have SIGTERM end this process as an exception does, so that it ends the step that it waits for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))


def run(name: str, *arguments: object, seconds_to_end: float = SECONDS_TO_END) -> float:
    """Run a command; gives the seconds that it took. Ends this one with its code where it failed.

    Where this process is asked to end, the step is, and is killed after ``seconds_to_end``.
    """
    from ..engine.processes import end_with_parent

    began = time.monotonic()
    command = [sys.executable, '-m', 'mmgcvit', name, *map(str, arguments)]
    child = subprocess.Popen(command, preexec_fn=partial(end_with_parent, signal.SIGTERM))
    try:
        code = child.wait()
    except KeyboardInterrupt:
        # From the terminal, which has sent it to the child too.
        with suppress(subprocess.TimeoutExpired):
            child.wait(seconds_to_end)
        raise
    finally:
        if child.poll() is None:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(seconds_to_end)
            child.kill()
            child.wait()
    if code:
        # A step has said itself why it failed, unless a signal ended it.
        raise SystemExit(code if code > 0 else killed(-code, name, arguments))
    return time.monotonic() - began


def killed(number: int, command: str, arguments: tuple[object, ...]) -> str:
    """What is said of a step that could not say anything itself."""
    by = signal.Signals(number).name
    reason = ', as the system does when memory runs out' if by == 'SIGKILL' else ''
    said = f'{command} was ended by {by}{reason}'
    log = newest_log(Path(arguments[arguments.index('--work-dir') + 1])) if '--work-dir' in arguments else None
    return said if log is None else f'{said}; {last_lines(log)}'
