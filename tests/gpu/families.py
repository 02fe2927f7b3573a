"""Each family trains on miniature data, is resumed and scored, by the commands that users call."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from unittest import mock

import torch

from mmgcvit.checkpoints import read_checkpoint
from mmgcvit.datasets import miniature
from mmgcvit.errors import first_line
from mmgcvit.experiments import rehearsal, shrinking
from mmgcvit.experiments.rehearsal import LINES_OF_A_FAILURE, rehearse
from mmgcvit.experiments.shrinking import Options, longer, prepare
from mmgcvit.hosts.configs import read_config

from ..engine.toy import CONFIG, SHARDED
from ..programs import ROOT
from .machine import say
from .run import seconds_left

DETECTORS = ('mask_rcnn_gcvit_t', 'cascade_gcvit_t', 'dino_gcvit_t_12e', 'upernet_gcvit_t')
CLASSIFIERS = ('gcvit_xxt_in1k', 'lsa_t_in1k')
# How each is trained: in mixed precision or not, by the processes of a launcher, or so that it ends the same again.
CASES = {
    'cuda': [
        *((name, way) for way in ('amp', 'float32') for name in (*DETECTORS, *CLASSIFIERS)),
        *((name, 'launched') for name in ('mask_rcnn_gcvit_t', 'gcvit_xxt_in1k')),
        *((name, 'deterministic') for name in CLASSIFIERS),
    ],
    'cpu': [('lsa_t_in1k', 'deterministic')],
}
# From the beginning, and as many once resumed; images for two processes that take two each.
ITERATIONS = {'cuda': 10, 'cpu': 2}
IMAGES = {'train': 60}
# What is not begun with less left; after how long a command hangs; what saying so takes.
SECONDS_OF_ONE, SECONDS_OF_A_HANG, SECONDS_TO_END = 25, 150, 3
# Registries have one scope for all threads.
BUILDING = Lock()
SMALL = {'cuda': Options(depth=2, shrink=4), 'cpu': Options(depth=1, shrink=16)}


def main(device):
    # What torch asks for where products on CUDA are to be the same each time.
    os.environ['CUBLAS_WORKSPACE_CONFIG'] = ':4096:8'
    # Several train beside each other.
    os.environ.setdefault('OMP_NUM_THREADS', '2')
    say('config', 'how', 'outcome', 'found')
    say(*['---'] * 4)
    iterations = {'ITERATIONS': ITERATIONS[device]}
    with (
        redirect_stdout(sys.stderr),  # for what the hosts say when they are imported
        TemporaryDirectory() as folder,
        ThreadPoolExecutor(max(2, len(os.sched_getaffinity(0)) // 2)) as pool,
        mock.patch.multiple(shrinking, **iterations),
        mock.patch.multiple(rehearsal, **iterations),
        mock.patch.dict(miniature.NUM_COCO_IMAGES, IMAGES),
        mock.patch.dict(miniature.NUM_ADE20K_IMAGES, IMAGES),
    ):
        going = [pool.submit(tell, train_sharded, 'toy', 'FSDP', Path(folder, 'sharded'))]
        for name, way in CASES[device]:
            going.append(pool.submit(tell, train, name, way, Path(folder, f'{name}-{way}'), SMALL[device]))
        succeeded = [future.result() for future in going]
    if False in succeeded:
        raise SystemExit(f'{succeeded.count(False)} of {len(succeeded)} failed')


def made_small(name, way, folder, options):
    """A config of this project for a dry run."""
    cfg = read_config(str(ROOT / 'configs' / f'{name}.py'))
    folder.mkdir()
    prepare(cfg, folder, options)
    if way != 'amp':
        plain = {key: value for key, value in cfg.optim_wrapper.items() if key not in ('dtype', 'loss_scale')}
        cfg.optim_wrapper = {**plain, 'type': 'OptimWrapper'}
    if way == 'deterministic':
        cfg.randomness = {**cfg.randomness, 'deterministic': True}
    cfg.dump(folder / 'config.py')
    return cfg


def tell(run, name, way, *arguments):
    """Run something that says whether it succeeded, and what it found (None: no time); print its row."""
    succeeded, found = None, 'no time was left'
    try:
        if seconds_left() > SECONDS_OF_ONE:
            succeeded, found = run(name, way, *arguments)
    except subprocess.TimeoutExpired as error:
        succeeded, found = None if seconds_left() < SECONDS_TO_END + 1 else False, str(error)
    except Exception as error:
        succeeded, found = False, f'{type(error).__name__}: {first_line(error)}'
    outcome = {True: 'ok', False: '**FAILED**', None: '**left out**'}[succeeded]
    say(name, way, outcome, found.replace('|', '\\|').replace('\n', '<br>'))
    return succeeded


def train(name, way, folder, options):
    """A dry run; of what is deterministic the same run without the stop in between, too, which ends with the same."""
    said = []
    with BUILDING:
        cfg = made_small(name, way, folder, options)
    succeeded = rehearse(cfg, folder, said.append, partial(call, way))
    if succeeded and way == 'deterministic':
        program = ['mmgcvit', 'train', str(folder / 'config.py'), '--work-dir', str(folder / 'straight')]
        if failure := failure_of(way, [*program, '--cfg-options', longer(cfg)], folder / 'straight.log'):
            return False, failure
        resumed, straight = weights_of(folder / 'run'), weights_of(folder / 'straight')
        others = [key for key in resumed if not torch.equal(resumed[key], straight[key])]
        said.append(f'{len(others)} of {len(resumed)} tensors differ from those of the same run without a stop')
        succeeded = not others
    return succeeded, '\n'.join(said)


def train_sharded(name, way, folder):
    """A toy whose blocks FSDP gathers, in as many processes as there are GPUs; resumed."""
    settings = [*SHARDED, 'optim_wrapper.type=mmgcvit.AutoPrecisionOptimWrapper', 'optim_wrapper.use_fsdp=True']
    for more in (['--cfg-options', *settings, 'train_cfg.max_epochs=1'], ['--resume', '--cfg-options', *settings]):
        program = ['mmgcvit', 'train', str(CONFIG), '--work-dir', str(folder), *more]
        if failure := failure_of('launched', program, folder.with_suffix('.log')):
            return False, failure
    return True, 'trained and resumed'


def failure_of(way, program, log):
    """Run a command; its last words, if it failed."""
    with log.open('w') as file:
        code = call(way, program, file)
    last = log.read_text(errors='replace').splitlines()[-LINES_OF_A_FAILURE:]
    return '\n'.join([f'exit code {code}', *last]) if code else ''


def call(way, program, log):
    """Run a step of a dry run, the way that the case asks for."""
    package, command, *rest = program
    if way == 'amp' and command == 'train':
        rest.append('--amp')
    if way == 'launched':
        rest = [str(min(max(torch.cuda.device_count(), 1), 2)), command, *rest]
        command = 'launch'
    # What a launcher started ends with it.
    timeout = max(min(seconds_left() - SECONDS_TO_END, SECONDS_OF_A_HANG), 0)
    program = [sys.executable, '-m', package, command, *rest]
    return subprocess.run(program, stdout=log, stderr=subprocess.STDOUT, timeout=timeout).returncode


def weights_of(work_dir):
    return read_checkpoint((work_dir / 'last_checkpoint').read_text().strip())['state_dict']


if __name__ == '__main__':
    main(*sys.argv[1:])
