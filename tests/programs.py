"""Run programs that end in time, with all their child processes."""

import os
import signal
import subprocess
import time
import uuid
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECONDS = 600
# A process that waits for a lost device cannot be killed.
SECONDS_TO_DIE = 20
# An environment variable that child processes inherit, whatever their process group, session or parent.
MARK = 'STARTED_BY_TEST'


def run(command, environment=None, timeout=SECONDS, **options):
    """Run a command in the project's root like ``subprocess.run``, with captured text output.

    At the end or after the timeout all its processes are killed.
    """
    mark = uuid.uuid4().hex
    environment = (os.environ if environment is None else environment) | {MARK: mark}
    options = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True, 'cwd': ROOT, **options}
    process = subprocess.Popen([str(part) for part in command], env=environment, start_new_session=True, **options)
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        kill_marked(mark)
        printed = get_tail(*process.communicate())
        raise AssertionError(f'not ended after {timeout} s: {process.args}\n{printed}') from None
    finally:
        kill_marked(mark)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def get_tail(output, errors, characters=3000):
    """Return the end of the output of a process."""
    return f'{(output or "")[-characters:]}{(errors or "")[-characters:]}'


def kill_marked(mark):
    """Kill the running processes with a mark in their environment."""
    end = time.monotonic() + SECONDS_TO_DIE
    while (numbers := list(find_marked(mark))) and time.monotonic() < end:
        for number in numbers:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.05)


def find_marked(mark):
    for entry in Path('/proc').glob('[0-9]*'):
        with suppress(OSError):
            if f'{MARK}={mark}'.encode() in (entry / 'environ').read_bytes().split(b'\0'):
                yield int(entry.name)
