"""Run Python programs in processes forked from one that has imported torch and the OpenMMLab
packages.

The ten seconds of imports are spent once. A program has its own arguments, environment, outputs and
exit code. Tests of imports or of shell scripts start a real process instead (:mod:`.programs`).
"""

import gc
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

import torch.distributed as dist

from .programs import ROOT, SECONDS, get_tail

PACKAGES = ('mmdet', 'mmseg', 'mmpretrain')
PARTS = ('models', 'datasets', 'evaluation', 'engine', 'visualization', 'apis')
# mmgcvit comes first, since it makes mmcv's operators importable. Then the modules that each
# OpenMMLab package imports for its default scope, and those that the commands import.
PRELOADED = ['tests', 'mmgcvit', 'tests.task_packages']
PRELOADED += [f'{package}.{part}' for package in PACKAGES for part in PARTS]
PRELOADED += ['mmgcvit.fixes.mmdet', 'torch.distributed.elastic.multiprocessing.errors']
PRELOADED += ['matplotlib.pyplot', 'timm', 'supervision']
for file in (ROOT / 'mmgcvit').glob('[!.]*/[!_]*.py'):
    PRELOADED.append(f'mmgcvit.{file.parent.name}.{file.stem}')
CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(PRELOADED)


def run(*command, environment, folder=None):
    """Run ``python`` with these arguments in ``folder``, by default the root; return a
    ``CompletedProcess``.
    """
    ensure_running()
    command = [str(part) for part in command]
    with tempfile.TemporaryDirectory() as outputs:
        files = [Path(outputs, 'output'), Path(outputs, 'errors')]
        arguments = (command, dict(environment), *map(str, files), folder)
        process = CONTEXT.Process(target=become, args=arguments)
        process.start()
        process.join(SECONDS)
        exit_code = process.exitcode
        process.kill()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
        printed = [file.read_text(errors='replace') for file in files]
    assert exit_code is not None, f'not ended after {SECONDS} s: {command}\n{get_tail(*printed)}'
    return subprocess.CompletedProcess(command, exit_code, *printed)


def ensure_running():
    """Start the server if it is not running, without GPUs and with one thread.

    A process that has initialised CUDA, as importing mmengine does, or that runs several threads
    must not be forked.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    single = dict.fromkeys(('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'), '1')
    with mock.patch.dict(os.environ, single, CUDA_VISIBLE_DEVICES='-1', PYTHONPATH=path):
        forkserver.ensure_running()


def become(command, environment, output, errors, folder):
    """Run the program in the forked process, in a session of its own.

    mmengine collects garbage for each dataset, which takes seconds among the objects of all
    imported packages.
    """
    gc.freeze()
    os.setsid()
    if folder is not None:
        os.chdir(folder)
    for name, stream in ((output, sys.stdout), (errors, sys.stderr)):
        with Path(name).open('a') as file:
            os.dup2(file.fileno(), stream.fileno())
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


@contextmanager
def reserve_port():
    """Yield a port for a server of ranks, which no other program gets until the end.

    A socket stays bound to it. The ranks' server may listen there nevertheless, because both allow
    that the address is used again, and this one does not listen.
    """
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(('127.0.0.1', 0))
        yield reserved.getsockname()[1]


def run_on_ranks(function, arguments):
    """Call an importable function on each rank, over gloo, with its own arguments; return the
    results by rank.
    """
    ensure_running()
    with reserve_port() as port, ProcessPoolExecutor(len(arguments), CONTEXT) as pool:
        call = partial(call_on_rank, function, len(arguments), str(port))
        return list(pool.map(call, range(len(arguments)), arguments, timeout=SECONDS))


def call_on_rank(function, num_ranks, port, rank, arguments):
    """Join the process group and call the function."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(num_ranks))
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    dist.init_process_group('gloo', timeout=timedelta(seconds=SECONDS))
    return function(*arguments)
