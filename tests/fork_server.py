"""Run Python programs in processes forked from one that has imported torch and the OpenMMLab packages.

Imports take ten seconds of each training command. Here they happen once, in a server that forks for each program. The
program has its own arguments, environment, outputs and exit code, and shares no weights or settings with another. Tests
of imports or of shell scripts start a real process instead (:mod:`.programs`).
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

from .programs import ROOT, SECONDS, get_tail

PACKAGES = ('mmdet', 'mmseg', 'mmpretrain')
PARTS = ('models', 'datasets', 'evaluation', 'engine', 'visualization', 'apis')
# mmgcvit comes first, since it makes mmcv's operators importable. Then the modules that each OpenMMLab package imports
# for its default scope, and those that the commands import.
PRELOADED = [
    'tests',
    'mmgcvit',
    *(f'{package}.{part}' for package in PACKAGES for part in PARTS),
    'mmgcvit.mmdet_fixes',
]
# Commands import these modules lazily.
SUBPACKAGES = ('commands', 'engine', 'inference', 'evaluation', 'figures', 'export')
PRELOADED += [
    f'mmgcvit.{name}.{path.stem}' for name in SUBPACKAGES for path in sorted((ROOT / 'mmgcvit' / name).glob('[!_]*.py'))
]
PRELOADED += ['torch.distributed.elastic.multiprocessing.errors', 'matplotlib.pyplot', 'timm']
CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(PRELOADED)


def run(*command, environment=None, log=None, timeout=SECONDS, folder=None):
    """Run a program like ``subprocess.run([sys.executable, *command])``, with its output captured or in a log file.

    The default folder is the project's root. After a timeout the error shows the end of the output.
    """
    with tempfile.TemporaryDirectory() as outputs:
        files = [Path(log)] * 2 if log else [Path(outputs, 'output'), Path(outputs, 'errors')]
        process = start(*command, environment=environment, output=files[0], errors=files[1], folder=folder)
        process.join(timeout)
        exit_code = process.exitcode
        end(process)
        printed = [file.read_text(errors='replace') for file in files]
    assert exit_code is not None, f'not ended after {timeout} s: {command}\n{get_tail(*printed)}'
    return subprocess.CompletedProcess(command, exit_code, *printed)


def start(*command, environment=None, output, errors, folder=None):
    """Start a program with its output and errors redirected to files; return a ``multiprocessing.Process``."""
    ensure_running()
    environment = dict(os.environ if environment is None else environment)
    command = [str(part) for part in command]
    process = CONTEXT.Process(target=become, args=(command, environment, str(output), str(errors), folder))
    process.start()
    return process


def end(process):
    """Kill a program and its child processes."""
    process.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()


def ensure_running():
    """Start the server if it is not running, without GPUs and with one thread.

    A process that has initialised CUDA, as importing mmengine does, or that runs several threads must not be forked.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    single = dict.fromkeys(('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'), '1')
    with mock.patch.dict(os.environ, single, CUDA_VISIBLE_DEVICES='-1', PYTHONPATH=path):
        forkserver.ensure_running()


def become(command, environment, output, errors, folder):
    """Run the program in the forked process, in a session of its own."""
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
        # runpy warns about modules that are imported already; a package runs its __main__.
        if not hasattr(sys.modules.get(command[1]), '__path__'):
            sys.modules.pop(command[1], None)
        runpy.run_module(command[1], run_name='__main__', alter_sys=True)
    else:
        sys.argv = command
        sys.path.insert(0, str(Path(command[0]).resolve().parent))
        runpy.run_path(command[0], run_name='__main__')
