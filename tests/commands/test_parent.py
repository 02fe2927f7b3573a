"""A process ends with the one that started it, also when that is killed and cannot end it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmgcvit.engine import processes as parent

# The file alone, not the package: seconds less of imports in each of the processes.
CHILD = (
    'import runpy, signal, sys, time\n'
    'end_with_parent = runpy.run_path(sys.argv[1])["end_with_parent"]\n'
    'if sys.argv[2] != "none":\n'
    '    end_with_parent(signal.Signals[sys.argv[2]])\n'
    'if sys.argv[2] == "SIGKILL":\n'
    '    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
    'print("ready", flush=True)\n'
    'time.sleep(int(sys.argv[3]))\n'
)
STARTER = 'import subprocess, sys\nsubprocess.run([sys.executable, "-c", *sys.argv[1:]])\n'


def start(how, seconds):
    """A process that starts another; both write to the pipe, which is open as long as one of them lives."""
    command = [sys.executable, '-c', STARTER, CHILD, str(Path(parent.__file__)), how, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'ready\n'
    return process


@pytest.mark.parametrize('how', ['SIGKILL', 'SIGTERM'])
def test_a_child_ends_when_its_parent_is_killed(how):
    process = start(how, seconds=60)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)


def test_a_child_that_did_not_ask_for_it_lives_on():
    """So that the test above is about the request, not about how processes end anyway."""
    process = start('none', seconds=3)
    process.send_signal(signal.SIGKILL)
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=1)
    process.communicate(timeout=10)
