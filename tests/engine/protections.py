"""What each protection of a training costs, as a share of an epoch of the demo's classifier or detector.

Run:  python -m tests.engine.protections classifier

One process, one thread, data loaded within it: an epoch, then a second one that is resumed, which is measured. Shares
are of the processor's time, which other work on the machine changes little; only flushing to disk is of the clock's.
"""

import argparse
import os
import pkgutil
import tempfile
import time
from collections import Counter
from functools import wraps
from pathlib import Path
from unittest import mock

import torch
from rich.console import Console
from rich.table import Table

from mmgcvit.commands.main import run_command

from .. import fork_server
from ..programs import ROOT
from ..tools.commands import call

CONFIGS = {'classifier': 'gcvit_digits_cls.py', 'detector': 'mask_rcnn_gcvit_digits.py'}
ONE_PROCESS = [
    *(f'{part}_dataloader.num_workers=0' for part in ('train', 'val')),
    *(f'{part}_dataloader.persistent_workers=False' for part in ('train', 'val')),
    *('default_hooks.checkpoint.interval=1', 'train_cfg.val_interval=100', 'model.backbone.init_cfg=None'),
]
SAVING, TRAIN = 'mmgcvit.engine.saving', 'mmgcvit.commands.train'
# What is measured, and by which functions, in the order of a run.
PROTECTIONS = {
    'data looked at when a run starts': [f'{TRAIN}.check_data'],
    'newest whole checkpoint found': [f'{TRAIN}.resume'],
    'checkpoint compared with the model': [f'{TRAIN}.check_fits'],
    'checkpoint read as data': ['mmgcvit.checkpoints.for_hosts.read_for_host'],
    'generators seeded': ['mmgcvit.engine.loops.seed_generators', 'mmgcvit.engine.loops.seed_generators'],
    'files looked at before they are loaded': [
        *('mmgcvit.datasets.checks.loading.check_files', 'mmgcvit.datasets.checks.loading.check_size')
    ],
    'steps that are not finite left out': [
        f'mmgcvit.engine.finite_steps.FiniteStepsHook.{name}'
        for name in ('before_train_iter', 'note_loss', 'judge_step', 'after_train_iter')
    ],
    'warnings of a scheduler heard': ['mmgcvit.engine.early_end.EndEarlyHook.after_train_iter'],
    'exact resuming prepared': [
        f'mmgcvit.engine.exact_resume.ExactResumeHook.{name}'
        for name in ('before_train_iter', 'after_train_iter', 'after_train_epoch', 'before_save_checkpoint')
    ],
    "a checkpoint's numbers finite": ['mmgcvit.engine.finite.FiniteCheckpointsHook.before_save_checkpoint'],
    "a checkpoint's digest": [f'{SAVING}.add_digest'],
    'a checkpoint flushed and renamed': [f'{SAVING}.put_in_place'],
}
CLOCKS = {'a checkpoint flushed and renamed': time.perf_counter}
EPOCH = 'mmgcvit.engine.loops.EpochBasedTrainLoop.run_epoch'


class Watch:
    """Seconds and calls by name; what a measured function calls counts for that function alone."""

    def __init__(self):
        self.seconds, self.calls, self.inside = Counter(), Counter(), False
        # What asking a clock takes, which some machines charge more for than for what is measured.
        self.asking = {clock: asking(clock) for clock in (time.process_time, time.perf_counter)}

    def measured(self, function, name):
        clock = CLOCKS.get(name, time.process_time)

        @wraps(function)
        def measured(*arguments, **options):
            if self.inside:
                return function(*arguments, **options)
            self.inside, began = True, clock()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[name] += clock() - began - self.asking[clock]
                self.calls[name] += 1
                self.inside = False

        return measured

    def epoch(self, function):
        @wraps(function)
        def measured(*arguments):
            began = time.process_time()
            function(*arguments)
            self.seconds['epoch'] += time.process_time() - began

        return measured


def asking(clock):
    """Seconds from one asking of a clock to the next."""
    began = clock()
    for _ in range(1000):
        clock()
    return (clock() - began) / 1001


def train(config, folder, *options):
    """One run of the training command in this process; what was measured."""
    os.chdir(folder)
    torch.set_num_threads(1)
    watch = Watch()
    options = ['--work-dir', 'run', '--device', 'cpu', *options]
    with mock.patch('sys.argv', ['train', str(ROOT / 'configs' / 'demo' / config), *options]):
        for name, functions in PROTECTIONS.items():
            for function in functions:
                replace(function, lambda found, name=name: watch.measured(found, name))
        replace(EPOCH, watch.epoch)
        run_command('train')
    return watch.seconds, watch.calls


def replace(name, change):
    """Put a changed function in the place of one, for the rest of this process."""
    mock.patch(name, change(pkgutil.resolve_name(name))).start()


def in_new_process(*arguments):
    fork_server.ensure_running()
    with fork_server.CONTEXT.Pool(1) as pool:
        return pool.apply(train, arguments)


def table_of(first, second, calls):
    table = Table('protection', 'calls', 'each', 'share of an epoch')
    epoch = (first['epoch'] + second['epoch']) / 2
    for name in PROTECTIONS:
        seconds, count = second[name], calls[name]
        if count:
            table.add_row(name, str(count), f'{1000 * seconds / count:.3g} ms', f'{100 * seconds / epoch:.2f} %')
    table.caption = f'an epoch: {epoch:.1f} s of the processor'
    return table


def main():
    parser = argparse.ArgumentParser(prog='python -m tests.engine.protections', description=__doc__.splitlines()[0])
    parser.add_argument('run', choices=CONFIGS)
    config = CONFIGS[parser.parse_args().run]
    with tempfile.TemporaryDirectory() as folder:
        call('', '-m', 'mmgcvit', 'digits', Path(folder) / 'data' / 'digits')
        options = ['--cfg-options', *ONE_PROCESS]
        first, _ = in_new_process(config, folder, *options, 'train_cfg.max_epochs=1')
        second, calls = in_new_process(config, folder, '--resume', *options, 'train_cfg.max_epochs=2')
    Console().print(table_of(first, second, calls))


if __name__ == '__main__':
    main()
