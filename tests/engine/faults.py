"""Faults of machines and warnings of schedulers, at chosen moments of a training; see tests/engine/toy_config.py."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

from mmengine.evaluator import BaseMetric
from mmengine.fileio import LocalBackend
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.registry import HOOKS, METRICS

KILLED = 9


@METRICS.register_module()
class BetterEveryTime(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += [1.0]

    def compute_metrics(self, results):
        return {'score': float(MessageHub.get_current_instance().get_info('iter'))}


@HOOKS.register_module()
class DiesWhileSaving(Hook):
    """Ends its process, as ``kill -9`` does, when something is about to be done with a file.

    Args:
        moment: What and the file's name, ``os.rename epoch_2.pth.unfinished``; what is one of Python's audit events,
            or ``half-written`` or ``disk full``. Without a file: none.
        epoch: The first time of its kind in this epoch, from 1.
    """

    def __init__(self, moment, epoch):
        self.what, _, self.name = moment.rpartition(' ')
        self.epoch = int(epoch)

    def before_train_epoch(self, runner):
        if runner.epoch + 1 != self.epoch:
            return
        if self.what in ('half-written', 'disk full'):
            LocalBackend.put = self.put
        elif self.what:
            sys.addaudithook(self.note)

    def note(self, event, arguments):
        if event == self.what and isinstance(arguments[0], str | Path) and Path(arguments[0]).name == self.name:
            os._exit(KILLED)

    def put(self, content, path):
        is_chosen = Path(path).name == self.name
        Path(path).write_bytes(content[: len(content) // 2] if is_chosen else content)
        if is_chosen and self.what == 'disk full':
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if is_chosen:
            os._exit(KILLED)


@HOOKS.register_module()
class IsWarned(Hook):
    """Sends its process signals within iterations.

    Args:
        signals: Which ones when, and of several processes to which rank: ``SIGTERM@3``, ``SIGUSR1@3/1``; with ``group``
            in front to all processes that it has started too. Without a file: none.
    """

    def __init__(self, signals):
        what, _, self.rank = signals.partition('/')
        self.name, _, self.iteration = what.partition('@')

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.iteration and runner.iter + 1 == int(self.iteration) and self.rank in ('', str(runner.rank)):
            is_group, name = self.name.startswith('group'), self.name.removeprefix('group SIG').removeprefix('SIG')
            # From another process, as signals come: from their own one workers take them otherwise.
            subprocess.run(['kill', f'-{name}', '--', f'{"-" if is_group else ""}{os.getpid()}'], check=False)
            # Time for workers that end to be missed.
            time.sleep(0.5)
