"""A run that gets a signal saves one checkpoint on all ranks, ends with exit code 143, and resumes
exactly.
"""

import os
import signal
import time
from itertools import cycle, product
from multiprocessing import parent_process
from pathlib import Path

import pytest
from mmengine.dist import barrier, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import DATASETS

from mmgcvit import interrupts
from mmgcvit.engine.setup import CPU_MODEL_WRAPPER

from ..fork_server import run_on_ranks
from .random_training import RandomImages, assert_same, make_config, read_last_state, run

LOOPS = {
    'epochs': {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 3},
    'iterations': {'type': 'mmgcvit.IterBasedTrainLoop', 'max_iters': 7},
}
MOMENTS = ('iteration', 'save', 'wait')
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@DATASETS.register_module()
class StuckImages(RandomImages):
    """Images of which one is not loaded once a signal is to be sent while the run waits."""

    number = None

    def __getitem__(self, index):
        if self.number is not None:
            send(self.number)
            time.sleep(60)
        return super().__getitem__(index)


class SignalHook(Hook):
    """Send this rank a signal in an iteration, after it, or while the next data are loaded."""

    priority = 'VERY_HIGH'

    def __init__(self, number, iteration, moment):
        self.number, self.iteration, self.moment = number, iteration, moment

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.iteration and self.moment == 'iteration':
            send(self.number)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 != self.iteration:
            return
        if self.moment == 'save':
            send(self.number)
            send(self.number)  # from the launcher, too
        elif self.moment == 'wait':
            runner.train_dataloader.dataset.number = self.number


def send(number):
    """Send a signal to the training process."""
    parent = parent_process()
    is_worker = parent is not None and os.getppid() == parent.pid and 'RANK' not in os.environ
    os.kill(parent.pid if is_worker else os.getpid(), number)


def preempt_everywhere(folder, loop, accumulated=1):
    """Send signals at each iteration and moment, to one rank or all. Compare the resumed runs with
    an uninterrupted one.
    """
    interrupts.MAX_DATA_WAIT = 1
    folder = Path(folder)
    options = {'loop': LOOPS[loop], 'accumulated': accumulated, 'randomness': {'seed': 5}}
    if get_world_size() > 1:
        options |= {'launcher': 'pytorch', 'model_wrapper_cfg': CPU_MODEL_WRAPPER}
    options['train_dataloader'] = make_config('', LOOPS[loop]).train_dataloader
    options['train_dataloader'].dataset.type = 'StuckImages'

    def train(name, hook=None, **more):
        cfg = make_config(folder / name, **options, **more)
        cfg.default_hooks.checkpoint.update(interval=100, first_after=1000)
        return run(cfg, hook=hook)

    train('whole')
    barrier()  # until rank 0 has saved
    whole = read_last_state(folder / 'whole')
    rows = []
    signals, receivers = cycle(SIGNALS), cycle([(0,), (0, 1), (1,), (0, 1), (0,)])
    last = 5 if get_world_size() > 1 else 6
    if get_world_size() == 1:
        receivers = cycle([(0,)])
    for iteration, moment in product(range(1, last + 1), MOMENTS):
        number, ranks = next(signals), next(receivers)
        name = f'{iteration}-{moment}'
        is_signalled = get_rank() in ranks
        hook = SignalHook(number, iteration if is_signalled else 0, moment)
        begin = time.monotonic()
        code = train(name, hook)
        seconds = time.monotonic() - begin
        barrier()
        saved = [path.name for path in (folder / name).glob('*.pth')]
        rows.append((iteration, moment, number.name, ranks, code, saved, round(seconds, 1)))
        assert code == signal.SIGTERM, rows[-1]
        assert len(saved) == 1, rows[-1]
        barrier()
        assert train(name, resume=True) is None
        barrier()
        assert_same(read_last_state(folder / name), whole)
    return rows


@pytest.mark.parametrize('loop', LOOPS)
def test_a_run_that_gets_a_signal_at_any_moment_saves_once_and_resumes_exactly(loop, tmp_path):
    print(*preempt_everywhere(tmp_path, loop), sep='\n')


@pytest.mark.parametrize('loop', LOOPS)
def test_two_ranks_stop_together_wherever_one_or_both_get_a_signal(loop, tmp_path):
    print(*run_on_ranks(preempt_everywhere, [(str(tmp_path), loop)] * 2)[0], sep='\n')
