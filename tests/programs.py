"""Run programs that end in time, with all their child processes."""

import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
SECONDS = 600


def run(command, environment=None, timeout=SECONDS, cwd=ROOT):
    """Run a command like ``subprocess.run``, by default in the root, with captured text output.

    After the timeout all its processes are killed.
    """
    process = psutil.Popen(
        [str(part) for part in command],
        env=environment,
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        for each in (*process.children(recursive=True), process):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        printed = get_tail(*process.communicate())
        raise AssertionError(f'not ended after {timeout} s: {process.args}\n{printed}') from None
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def get_tail(output, errors, characters=3000):
    """Return the end of the output of a process."""
    return (output or '')[-characters:] + (errors or '')[-characters:]
