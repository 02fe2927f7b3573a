"""A resumed run is the run: after an interruption anywhere it ends with the same numbers, bit for bit."""

import random
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook

from mmgcvit.engine.loops import WHOLE_BATCH, seed_generators
from mmgcvit.errors import UserError

from ..processes import answers_of
from ..tools.commands import train as train_task
from .drawing import IMAGES, DrawingImages, config, difference, last_state, run

EPOCHS = {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 3}
ITERATIONS = {'type': 'mmgcvit.IterBasedTrainLoop', 'max_iters': 11}
SEEDED = {'randomness': {'seed': 5}}


def resumed(work_dir, **options):
    assert (work_dir / 'last_checkpoint').is_file()
    return config(work_dir, resume=True, **options)


def equal(one, other):
    assert difference(last_state(one), last_state(other)) is None


def whole_and_resumed(folder, stop, **options):
    """Run once as a whole, and once to an iteration and from there."""
    whole, torn = folder / 'whole', folder / 'torn'
    run(config(whole, **SEEDED, **options))
    run(config(torn, **SEEDED, **options), stop)
    run(resumed(torn, **SEEDED, **options))
    return whole, torn


@pytest.fixture(autouse=True)
def nothing_but_training(monkeypatch):
    """A run says nothing of machine and version, which takes it longer than all of its training."""
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    monkeypatch.setattr('mmengine.runner.runner.get_git_hash', str)


def test_each_piece_of_a_run_draws_its_own_and_always_the_same():
    """By every generator; numbers side by side may be the same in some pieces: 1 11, 11 1."""
    pieces = list(product((0, 1, 11, 111), repeat=4))
    for draw in (
        lambda: random.getrandbits(64),
        lambda: tuple(np.random.randint(0, 2**32, 2, dtype=np.uint64)),
        lambda: torch.randint(2**62, ()).item(),
    ):
        drawn = [(seed_generators(*piece), draw())[1] for piece in pieces]
        assert len(set(drawn)) == len(pieces)
        assert [(seed_generators(*piece), draw())[1] for piece in reversed(pieces)] == drawn[::-1]
    for seed in (0, 2**31, 2**32 - 1):
        seed_generators(seed, rank=0, iteration=10**9, sample=WHOLE_BATCH)


# An epoch has 4 iterations: 3, 3, 3 and 2 images.
CASES = {
    'at the end of an epoch': {'stop': 4, 'loop': EPOCHS, 'saves': None},
    'before the end of an epoch': {'stop': 6, 'loop': EPOCHS},
    'after the last batch of an epoch': {'stop': 8, 'loop': EPOCHS},
    'iterations': {'stop': 3, 'loop': ITERATIONS, 'sampler': 'InfiniteSampler'},
    'iterations, in the second pass over the images': {'stop': 6, 'loop': ITERATIONS},
    'after a step of three iterations': {'stop': 6, 'loop': EPOCHS, 'accumulated': 3},
}


@pytest.mark.parametrize('case', CASES)
def test_it_ends_as_without_an_interruption(case, tmp_path):
    equal(*whole_and_resumed(tmp_path, **CASES[case]))


def test_without_a_seed_it_goes_on_with_the_one_that_it_drew(tmp_path, monkeypatch):
    """The same for the whole run and its first part, another one when it is resumed."""
    for loop in (EPOCHS, ITERATIONS):
        drawn = iter([7, 7, 8])
        monkeypatch.setattr('mmengine.runner.utils.sync_random_seed', lambda drawn=drawn: next(drawn))
        whole, torn = (tmp_path / f'{part} {loop["type"]}' for part in ('whole', 'torn'))
        run(config(whole, loop=loop))
        run(config(torn, loop=loop), 6)
        run(resumed(torn, loop=loop))
        equal(whole, torn)


@pytest.mark.parametrize('loop', [EPOCHS, ITERATIONS], ids=['epochs', 'iterations'])
def test_how_many_workers_load_and_whether_they_persist_changes_nothing(loop, tmp_path):
    """Also where another number goes on; and every sample of every epoch draws anew, which they would not notice."""
    collected = CollectHook()
    run(config(tmp_path / 'none', loop=loop, **SEEDED), hook=collected)
    drawn = torch.cat(collected.inputs)[:, 1:]
    assert len(drawn) == 3 * IMAGES or loop is ITERATIONS
    assert drawn.unique().numel() == drawn.numel()
    run(config(tmp_path / 'two', loop=loop, workers=2, **SEEDED), 5)
    run(resumed(tmp_path / 'two', loop=loop, workers=-1, **SEEDED))
    equal(tmp_path / 'none', tmp_path / 'two')
    equal(*whole_and_resumed(tmp_path, 6, loop=loop, workers=-2))


class CollectHook(Hook):
    """Keeps what a run trains with, and how iterations are counted."""

    def __init__(self):
        self.inputs, self.numbers = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.inputs.append(torch.stack(list(data_batch['inputs'])))
        self.numbers.append((runner.iter, batch_idx))


def test_nothing_that_was_trained_with_is_loaded_again_and_the_log_counts_on(tmp_path):
    for name, loop in (('epochs', EPOCHS), ('iterations', ITERATIONS)):
        run(config(tmp_path / name, loop=loop, **SEEDED), 6)
        collected = CollectHook()
        load = mock.patch.object(DrawingImages, '__getitem__', autospec=True, side_effect=DrawingImages.__getitem__)
        with load as loaded:
            run(resumed(tmp_path / name, loop=loop, **SEEDED), hook=collected)
        assert loaded.call_count == sum(map(len, collected.inputs))
        if loop is EPOCHS:
            assert collected.numbers == [(6, 2), (7, 3), (8, 0), (9, 1), (10, 2), (11, 3)]


def test_a_checkpoint_holds_plain_values_only_and_the_log_goes_on(tmp_path):
    """What any reader takes as data."""
    schedule = [{'type': 'OneCycleLR', 'eta_max': 0.1, 'by_epoch': False, 'total_steps': 12}]
    options = {'loop': EPOCHS, 'param_scheduler': schedule, **SEEDED}
    run(config(tmp_path, **options), 6)
    path = (tmp_path / 'last_checkpoint').read_text()
    content = torch.load(path, weights_only=True)
    losses = content['message_hub']['log_scalars']['train/loss']
    assert len(losses['history']) == len(losses['counts']) == 6
    assert 'anneal_func' not in content['param_schedulers'][0], "mmengine's function"
    hubs = []
    hook = mock.Mock(spec=Hook, priority='LOWEST', after_train=lambda runner: hubs.append(runner.message_hub))
    run(resumed(tmp_path, **options), hook=hook)
    assert hubs[0].get_scalar('train/loss').data[0][:6].tolist() == losses['history'].tolist()


@pytest.mark.parametrize('missing', ['batch_size', 'sampler'])
def test_data_that_cannot_be_resumed_within_an_epoch_are_refused(missing, tmp_path):
    cfg = config(tmp_path, loop=EPOCHS)
    cfg.train_dataloader[missing] = None
    with pytest.raises(UserError, match='needs a map-style dataset, a sampler and a batch_size'):
        run(cfg)


RANKS = ({'LOCAL_RANK': '0'}, {'LOCAL_RANK': '1'})
WRAPPER = {'type': 'MMDistributedDataParallel', 'device_ids': None, 'broadcast_buffers': False}
TWO = {'launcher': 'pytorch', 'model_wrapper_cfg': WRAPPER}


def train_in_two(folder):
    """What one of the processes does."""
    whole_and_resumed(Path(folder), 3, loop=EPOCHS, **TWO)


@pytest.mark.slow
def test_two_processes_go_on(tmp_path):
    """An epoch has 2 iterations: 3 and 3, and 3 and 2 images."""
    answers_of(train_in_two, [(str(tmp_path),)] * 2, RANKS)
    equal(tmp_path / 'whole', tmp_path / 'torn')


@pytest.mark.slow
@pytest.mark.parametrize('task', ['classify', 'segment', pytest.param('detect', marks=pytest.mark.long)])
def test_whole_models_go_on_as_without_an_end(task, digits, tmp_path):
    """One of each task, with its augmentation, drop path and schedule, and two data workers."""
    length = 'max_iters' if task == 'segment' else 'max_epochs'
    options = ['--cfg-options', 'randomness.seed=0', 'train_dataloader.num_workers=2']
    options += ['default_hooks.checkpoint.interval=1']
    train_task(digits, task, tmp_path / 'whole', *options, f'train_cfg.{length}=2')
    train_task(digits, task, tmp_path / 'torn', *options, f'train_cfg.{length}=1')
    train_task(digits, task, tmp_path / 'torn', '--resume', *options, f'train_cfg.{length}=2')
    parts = ['state_dict', 'optimizer']
    assert difference(last_state(tmp_path / 'torn', parts), last_state(tmp_path / 'whole', parts)) is None
