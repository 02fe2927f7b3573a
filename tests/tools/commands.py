"""Calling the command lines as users do."""

import os
import re
import socket
import subprocess
import sys

from ..conftest import ROOT

CONFIGS = ROOT / 'tests' / 'data' / 'configs'
NUM_VAL = 4


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def environment_for(digits, **more):
    """Without GPUs, and one thread a process: several processes that share two cores must not fight for them."""
    ours = {'DIGITS': str(digits), 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '-1'}
    return os.environ | ours | more


def call(digits, *command, fails=False, **environment):
    """Run a command and return what it printed."""
    run = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment_for(digits, **environment),
        timeout=600,
    )
    output = run.stdout + run.stderr
    assert (run.returncode != 0) == fails, output[-3000:]
    return output


def train(digits, task, work_dir, *options):
    command = [sys.executable, ROOT / 'tools' / 'train.py', CONFIGS / f'{task}.py', '--work-dir', work_dir]
    return call(digits, *command, *options)


def evaluate(digits, task, work_dir, *options):
    checkpoint = (work_dir / 'last_checkpoint').read_text()
    command = [sys.executable, ROOT / 'tools' / 'test.py', CONFIGS / f'{task}.py', checkpoint, '--work-dir', work_dir]
    return call(digits, *command, *options)


def score(output, name):
    return float(re.findall(rf'{name} ([-\d.]+)', output)[-1])
