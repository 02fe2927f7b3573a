"""Run the scripts and commands as users do."""

import os
import shutil
import sys
from argparse import Namespace

from tools import make_digits as script

from .. import fork_server, programs
from ..programs import ROOT

CONFIGS = ROOT / 'tests' / 'data' / 'configs'
DEMO = ROOT / 'configs' / 'demo'
TOOLS = ROOT / 'tools'
NUM_VAL = 4


def environment_for(digits, **more):
    """Return an environment without GPUs and with one thread per process, as parallel tests share
    the cores.
    """
    ours = {'DIGITS': str(digits), 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1'}
    return {**os.environ, **ours, 'CUDA_VISIBLE_DEVICES': '-1', **more}


def call(digits, *command, fails=False, folder=None, **environment):
    """Run a Python script, or ``-m`` and a module, in a process with imported packages; return its
    output.
    """
    environment = environment_for(digits, **environment)
    return output_of(fork_server.run(*command, environment=environment, folder=folder), fails)


def call_in_shell(digits, *command, fails=False, **environment):
    """Run any command in a new process and return its output."""
    return output_of(programs.run(command, environment_for(digits, **environment)), fails)


def output_of(ended, fails):
    output = ended.stdout + ended.stderr
    assert (ended.returncode != 0) == fails, output[-3000:]
    return output


def make_digits(out):
    """Write a few digit scenes, and one image of each digit in class folders, in this process: most
    tests need no other one.
    """
    script.main(Namespace(out=out, train=8, val=NUM_VAL, size=128, seed=0))
    for folder in (out / 'imagenet' / 'val').iterdir():
        (out / 'classes' / folder.name).mkdir(parents=True)
        shutil.copy(min(folder.iterdir()), out / 'classes' / folder.name)


def train(digits, task, work_dir, *options):
    return call(
        digits, TOOLS / 'train.py', CONFIGS / f'{task}.py', '--work-dir', work_dir, *options
    )
