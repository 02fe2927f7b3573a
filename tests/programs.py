"""Processes that tests start: each ends in time, and with everything that it started."""

import os
import signal
import subprocess
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECONDS = 600
# A process that waits for a device that is lost cannot be killed.
SECONDS_TO_DIE = 20
# In the environment of a process and of all that it starts, whatever group, session or parent these give themselves.
MARK = 'STARTED_BY_TEST'


@contextmanager
def started(command, environment=None, **options):
    """``subprocess.Popen`` in a session of its own, in the project's root; after the ``with`` block nothing of it runs.

    The process also has ``mark``, by which :func:`running` finds what it has started.
    """
    mark = uuid.uuid4().hex
    environment = (os.environ if environment is None else environment) | {MARK: mark}
    command = [str(part) for part in command]
    process = subprocess.Popen(command, env=environment, start_new_session=True, **{'cwd': ROOT, **options})
    process.mark = mark
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        end = time.monotonic() + SECONDS_TO_DIE
        while (numbers := list(running(process))) and time.monotonic() < end:
            for number in numbers:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            time.sleep(0.05)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1 if numbers else None)


def run(command, environment=None, timeout=SECONDS, **options):
    """``subprocess.run`` with the output captured as text; nothing of it outlives the call, which ends in time."""
    options = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True, **options}
    try:
        with started(command, environment, **options) as process:
            output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        printed = last_of(*process.communicate())
        raise AssertionError(f'not ended after {timeout} s: {process.args}\n{printed}') from None
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def wait_for(is_so, seconds=60):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.02)


def last_of(output, errors, characters=3000):
    """The end of what a process has printed."""
    return f'{(output or "")[-characters:]}{(errors or "")[-characters:]}'


def running(process):
    """The numbers of a process and of all that it has started, as far as they run."""
    mark = f'{MARK}={process.mark}'.encode()
    for entry in Path('/proc').glob('[0-9]*'):
        with suppress(OSError):
            if mark in (entry / 'environ').read_bytes().split(b'\0'):
                yield int(entry.name)
