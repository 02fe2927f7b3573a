"""Python programs in processes forked from one that has imported torch and the OpenMMLab packages.

Imports take a training command ten seconds, of which a test of the command says nothing. Here they are paid once: a
server, which has imported what the commands import and done nothing else, forks for each program. The program finds
all that matters as a new process would: arguments, environment, outputs, exit code, no weights and no settings of
another. What a process imports by itself, and what a shell makes of it, is for tests that start a real one
(:mod:`.programs`).
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

from .programs import ROOT, SECONDS, last_of

HOSTS = ('mmdet', 'mmseg', 'mmpretrain')
PARTS = ('models', 'datasets', 'evaluation', 'engine', 'visualization', 'apis')
# mmgcvit first, which has mmcv's operators found. What each host imports when a config names its scope; then what the
# commands import.
PRELOADED = ['tests', 'mmgcvit', *(f'{host}.{part}' for host in HOSTS for part in PARTS), 'mmgcvit.detection']
# Commands import what does the work when they run.
SUBPACKAGES = ('commands', 'engine', 'inference', 'visualization', 'export', 'web', 'experiments')
PRELOADED += [
    f'mmgcvit.{name}.{path.stem}' for name in SUBPACKAGES for path in sorted((ROOT / 'mmgcvit' / name).glob('[!_]*.py'))
]
PRELOADED += ['torch.distributed.elastic.multiprocessing.errors', 'matplotlib.pyplot', 'timm']
CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(PRELOADED)


def run(*command, environment=None, log=None, timeout=SECONDS, folder=None):
    """What ``subprocess.run([sys.executable, *command])`` does and returns, the output captured or in a file, the log.

    In time, or the end of the output is in the error; by default in the project's root.
    """
    with tempfile.TemporaryDirectory() as outputs:
        files = [Path(log)] * 2 if log else [Path(outputs, 'output'), Path(outputs, 'errors')]
        process = start(*command, environment=environment, output=files[0], errors=files[1], folder=folder)
        process.join(timeout)
        exit_code = process.exitcode
        end(process)
        printed = [file.read_text(errors='replace') for file in files]
    assert exit_code is not None, f'not ended after {timeout} s: {command}\n{last_of(*printed)}'
    return subprocess.CompletedProcess(command, exit_code, *printed)


def start(*command, environment=None, output, errors, folder=None):
    """Start a program in a folder, its output and errors to files; returns a ``multiprocessing.Process``."""
    ensure_running()
    environment = dict(os.environ if environment is None else environment)
    command = [str(part) for part in command]
    process = CONTEXT.Process(target=become, args=(command, environment, str(output), str(errors), folder))
    process.start()
    return process


def end(process):
    """Kill a program with all that it has started."""
    process.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()


def ensure_running():
    """Start the server where none runs: of this project, without GPUs, with one thread.

    A process that has looked for GPUs, as mmengine does when it is imported, or that computes in several threads, must
    not be forked.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    single = dict.fromkeys(('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'), '1')
    with mock.patch.dict(os.environ, single, CUDA_VISIBLE_DEVICES='-1', PYTHONPATH=path):
        forkserver.ensure_running()


def become(command, environment, output, errors, folder):
    """What a forked process does: be the program, in a session of its own."""
    os.setsid()
    if folder is not None:
        os.chdir(folder)
    for name, descriptor in ((output, sys.stdout.fileno()), (errors, sys.stderr.fileno())):
        with Path(name).open('a') as file:
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    if command[0] == '-m':
        sys.argv = command[1:]
        # A module that is imported already would be warned of; a package runs its __main__.
        if not hasattr(sys.modules.get(command[1]), '__path__'):
            sys.modules.pop(command[1], None)
        runpy.run_module(command[1], run_name='__main__', alter_sys=True)
    else:
        sys.argv = command
        sys.path.insert(0, str(Path(command[0]).resolve().parent))
        runpy.run_path(command[0], run_name='__main__')
