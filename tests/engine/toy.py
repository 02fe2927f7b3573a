"""Trainings of a toy in processes of their own, with faults and warnings of schedulers at chosen moments."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.registry import HOOKS, METRICS

from mmgcvit.checkpoints import check_intact, read_checkpoint

from .. import fork_server
from ..processes import free_port
from ..programs import last_of
from ..tools.commands import environment_for

CONFIG = Path(__file__).with_name('toy_config.py')
KILLED = 9
ITERATIONS = (
    *(
        'train_cfg._delete_=True',
        'train_cfg.type=mmgcvit.IterBasedTrainLoop',
        'train_cfg.max_iters=6',
        'train_cfg.val_interval=2',
    ),
    *('default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=2'),
    'train_dataloader.sampler.type=InfiniteSampler',
)


def start(work_dir, *options, settings=(), config=CONFIG, **environment):
    """Train the toy; how it ended."""
    command = ['-m', 'mmgcvit', 'train', config, '--work-dir', work_dir, *options]
    if settings:
        command += ['--cfg-options', *settings]
    return fork_server.run(*command, environment=environment_for(environment.pop('DIGITS', ''), **environment))


def train(work_dir, *options, settings=(), code=0, **environment):
    """Train the toy, which ends with a code; what it has printed."""
    ended = start(work_dir, *options, settings=settings, **environment)
    assert ended.returncode == code, last_of(ended.stdout, ended.stderr)
    return ended.stdout + ended.stderr


def train_in_two(work_dir, *options, **more):
    """Train the toy in two processes, as torch's launcher starts them, which has tests of its own."""
    together = {'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(free_port()), **more}

    def run(rank):
        return train(work_dir, '--launcher', 'pytorch', *options, RANK=rank, LOCAL_RANK=rank, **together)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(run, '01'))


def names(folder):
    found = (path.name for path in folder.iterdir() if path.suffix in ('.pth', '.unfinished') or 'last' in path.name)
    return sorted(found)


def last(folder):
    """What the checkpoint that is named as the last holds."""
    path = Path((folder / 'last_checkpoint').read_text())
    check_intact(path)
    return read_checkpoint(str(path))


@METRICS.register_module()
class BetterEveryTime(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += [1.0]

    def compute_metrics(self, results):
        return {'score': float(MessageHub.get_current_instance().get_info('iter'))}


@HOOKS.register_module()
class DiesWhileSaving(Hook):
    """Ends its process, as ``kill -9`` does, when something is about to be done with a file in the second epoch.

    The environment's DIES_AT is one of Python's audit events and the file's name: ``os.rename epoch_2.pth.unfinished``.
    Without a file: never.
    """

    def before_train_epoch(self, runner):
        if runner.epoch == 1 and os.environ.get('DIES_AT'):
            sys.addaudithook(self.note)

    def note(self, event, arguments):
        path = arguments[0] if arguments else None
        if isinstance(path, str | Path) and f'{event} {Path(path).name}' == os.environ['DIES_AT']:
            os._exit(KILLED)


@HOOKS.register_module()
class IsWarned(Hook):
    """Sends its process a signal within an iteration.

    The environment's WARNED says which one when, and of several processes to which rank: ``SIGTERM@3``,
    ``SIGUSR1@3/1``; with ``group`` in front to all processes that it has started too. Without: none.
    """

    def __init__(self):
        what, _, self.rank = os.environ.get('WARNED', '').partition('/')
        self.name, _, self.iteration = what.partition('@')

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.iteration and runner.iter + 1 == int(self.iteration) and self.rank in ('', str(runner.rank)):
            is_group, name = self.name.startswith('group'), self.name.removeprefix('group SIG').removeprefix('SIG')
            # From another process, as signals come: from their own one workers take them otherwise.
            subprocess.run(['kill', f'-{name}', '--', f'{"-" if is_group else ""}{os.getpid()}'], check=False)
            # Time for workers that end to be missed.
            time.sleep(0.5)
