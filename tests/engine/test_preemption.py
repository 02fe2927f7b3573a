"""A run that gets a signal saves one checkpoint on all ranks, ends with exit code 143, and resumes
exactly.
"""

import os
import signal
import subprocess
import sys
import time
from itertools import cycle, product
from pathlib import Path
from unittest import mock

import pytest
from mmengine.dist import barrier, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import DATASETS

from mmgcvit import interrupts
from mmgcvit.engine.setup import CPU_MODEL_WRAPPER

from ..fork_server import run_on_ranks
from .random_training import (
    EPOCHS,
    ITERATIONS,
    RandomImages,
    SignalHook,
    assert_same,
    make_config,
    read_last_state,
    run,
)

LOOPS = {'epochs': EPOCHS, 'iterations': ITERATIONS | {'max_iters': 7}}
MOMENTS = ('iteration', 'end', 'wait')
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
RECEIVERS = [(0,), (0, 1), (1,), (0, 1), (0,)]  # ranks of two


@DATASETS.register_module()
class StuckImages(RandomImages):
    """Images, none of which is loaded after a signal."""

    number = None  # of the signal

    def __getitem__(self, index):
        if self.number is not None:
            os.kill(os.getpid(), self.number)
            time.sleep(60)
        return super().__getitem__(index)


def preempt_everywhere(folder, loop):
    """Send signals at each iteration and moment, to one rank or all. Compare the resumed runs with
    an uninterrupted one.
    """
    interrupts.MAX_DATA_WAIT = 1
    options = {'loop': LOOPS[loop], 'randomness': {'seed': 5}}
    if get_world_size() > 1:
        options |= {'launcher': 'pytorch', 'model_wrapper_cfg': CPU_MODEL_WRAPPER}

    def train(name, *hooks, **more):
        cfg = make_config(Path(folder, name), **options, **more)
        cfg.default_hooks.checkpoint.update(interval=100)
        cfg.train_dataloader.dataset.type = 'StuckImages'
        number = run(cfg, *hooks)
        barrier()  # until rank 0 has saved
        return number

    train('whole')
    whole = read_last_state(Path(folder, 'whole'))
    receivers = cycle(RECEIVERS)
    for iteration, moment in product(range(1, 6), MOMENTS):
        name = f'{iteration}-{moment}'
        number, ranks = SIGNALS[iteration % 3], next(receivers)
        is_receiver = get_world_size() == 1 or get_rank() in ranks
        hooks = [SignalHook(iteration, number, moment)] if is_receiver else []
        assert train(name, *hooks) == signal.SIGTERM
        (saved,) = Path(folder, name).glob('*.pth')
        assert saved.name == f'iter_{iteration}.pth'
        barrier()
        assert train(name, resume=True) is None
        assert_same(read_last_state(Path(folder, name)), whole)


@pytest.mark.parametrize('loop', LOOPS)
def test_a_run_that_gets_a_signal_at_any_moment_saves_once_and_resumes_exactly(loop, tmp_path):
    """It waits no longer for data."""
    with mock.patch.object(interrupts, 'MAX_DATA_WAIT'):
        preempt_everywhere(tmp_path, loop)


@pytest.mark.parametrize('loop', ['epochs', pytest.param('iterations', marks=pytest.mark.long)])
def test_two_ranks_stop_together_wherever_one_or_both_get_a_signal(loop, tmp_path):
    run_on_ranks(preempt_everywhere, [(str(tmp_path), loop)] * 2)


def test_a_checkpoint_is_saved_by_time_and_the_next_one_replaces_it(tmp_path):
    """Also before a validation. With one kept, the last of them and of the others is left."""
    cfg = make_config(tmp_path, EPOCHS, saves=None, randomness={'seed': 5})
    cfg.default_hooks.checkpoint.update(time_interval=0)
    seen = []

    class FilesHook(Hook):
        def before_train_iter(self, runner, **_):
            seen.append(sorted(path.name for path in tmp_path.glob('*.pth')))

    run(cfg, FilesHook())
    assert seen[:4] == [[], ['iter_1.pth'], ['iter_2.pth'], ['iter_3.pth']]
    assert seen[4:6] == [['epoch_1.pth'], ['epoch_1.pth', 'iter_5.pth']]
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_3.pth']


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_a_process_group_that_gets_a_signal_keeps_its_data_workers(number, tmp_path):
    """They end with their parent process."""
    reader, writer = os.pipe()
    worker = os.fork()
    if worker == 0:
        interrupts.start_worker(None, 0)
        os.write(writer, b'.')
        time.sleep(60)
    os.read(reader, 1)
    sender = 'import os, sys; os.kill(*map(int, sys.argv[1:]))'
    subprocess.run([sys.executable, '-c', sender, str(worker), str(int(number))], check=True)
    time.sleep(0.1)
    assert os.waitpid(worker, os.WNOHANG) == (0, 0)
    os.kill(worker, signal.SIGTERM)
    assert os.waitpid(worker, 0) == (worker, 0)
