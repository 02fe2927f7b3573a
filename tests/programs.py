"""Start processes that end in time, with all their child processes."""

import os
import signal
import subprocess
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECONDS = 600
# A process that waits for a lost device cannot be killed.
SECONDS_TO_DIE = 20
# An environment variable that child processes inherit, whatever their process group, session or parent.
MARK = 'STARTED_BY_TEST'


@contextmanager
def started(command, environment=None, **options):
    """Start ``subprocess.Popen`` in its own session in the project's root, and kill all its processes at the end.

    Its attribute ``mark`` lets :func:`running` find its child processes.
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
    """Run ``subprocess.run`` with captured text output; kill all its processes at the end or after the timeout."""
    options = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True, **options}
    try:
        with started(command, environment, **options) as process:
            output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        printed = get_tail(*process.communicate())
        raise AssertionError(f'not ended after {timeout} s: {process.args}\n{printed}') from None
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def get_tail(output, errors, characters=3000):
    """Return the end of the output of a process."""
    return f'{(output or "")[-characters:]}{(errors or "")[-characters:]}'


def running(process):
    """Yield the ids of the running processes among a process and its children."""
    mark = f'{MARK}={process.mark}'.encode()
    for entry in Path('/proc').glob('[0-9]*'):
        with suppress(OSError):
            if mark in (entry / 'environ').read_bytes().split(b'\0'):
                yield int(entry.name)
