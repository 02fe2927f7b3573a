"""A resumed run ends in the same state as an uninterrupted one, bit for bit, wherever it is
interrupted.
"""

import random
import signal
from itertools import product
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging import MessageHub
from torch.utils.data import DataLoader

from mmgcvit.engine.hooks import exact_resume
from mmgcvit.engine.hooks.new_schedule import NewScheduleHook
from mmgcvit.engine.loops import EpochBasedTrainLoop, seed_generators
from mmgcvit.errors import UserError

from ..tools.commands import train as train_task
from ..toy import last, names
from .random_training import (
    EPOCHS,
    IMAGES,
    ITERATIONS,
    NO_SHRINKING,
    RandomImages,
    SignalHook,
    assert_same,
    make_config,
    read_last_state,
    run,
)

SEEDED = {'randomness': {'seed': 5, 'diff_rank_seed': True}}


def resume_config(work_dir, **options):
    assert (work_dir / 'last_checkpoint').is_file()
    return make_config(work_dir, resume=True, **options)


def train_whole_and_resumed(folder, hook, workers=(0, 0), **options):
    """Train once without interruption, and once until a hook's signal and from there.

    Compare the results.
    """
    whole, resumed, options = folder / 'whole', folder / 'resumed', SEEDED | options
    run(make_config(whole, **options))
    assert run(make_config(resumed, **options, workers=workers[0]), hook) == signal.SIGINT
    run(resume_config(resumed, **options, workers=workers[1]))
    assert_same(read_last_state(resumed), read_last_state(whole))
    assert names(resumed) == names(whole)


def test_each_seed_rank_iteration_and_sample_has_its_own_random_numbers():
    """This holds for every generator, also if the digits of two tuples are equal when joined: (1,
    11), (11, 1).
    """
    tuples, numbers = list(product((0, 1, 11, 111), repeat=4)), {}
    for key in tuples + tuples:
        seed_generators(*key)
        drawn = random.random(), np.random.rand(), torch.randint(2**62, ()).item()
        assert numbers.setdefault(key, drawn) == drawn
    for drawn in zip(*numbers.values(), strict=True):
        assert len({*drawn}) == len(tuples)


@settings(max_examples=15, phases=NO_SHRINKING)
@given(
    loop=st.sampled_from([EPOCHS, ITERATIONS]),
    is_infinite=st.booleans(),
    stop=st.integers(1, 10),
    accumulated=st.sampled_from([1, 2]),
    workers=st.tuples(st.sampled_from([0, 0, 0, 2, -1]), st.sampled_from([0, 0, 0, 1, -2])),
    saves=st.sampled_from([1, 7, None]),
)
def test_a_resumed_run_ends_in_the_state_of_an_uninterrupted_one(
    loop, is_infinite, stop, accumulated, workers, saves, tmp_path_factory
):
    """This holds for any iteration and any number of dataloader workers, which persist if it is
    negative, and for a run that saves each iteration, rarely, or each epoch.
    """
    options = {'loop': loop, 'accumulated': accumulated, 'saves': saves}
    if loop is ITERATIONS and is_infinite:
        options['sampler'] = 'InfiniteSampler'
    # A step that is accumulated needs the workers to end.
    moment = 'dead workers' if accumulated == 1 else 'iteration'
    hook = SignalHook(stop, moment=moment)
    train_whole_and_resumed(tmp_path_factory.mktemp('runs'), hook, workers, **options)


def test_without_a_configured_seed_a_resumed_run_keeps_the_first_seed(tmp_path, monkeypatch):
    """mmengine draws the same seed for both first starts, and another one for the resumed run."""
    for loop in (EPOCHS, ITERATIONS):
        seeds = iter([7, 7, 8])
        monkeypatch.setattr(
            'mmengine.runner.utils.sync_random_seed', lambda seeds=seeds: next(seeds)
        )
        folder, randomness = tmp_path / loop['type'], {'seed': None}
        train_whole_and_resumed(folder, SignalHook(6), loop=loop, randomness=randomness)


def test_a_checkpoint_loads_with_weights_only_and_a_resumed_run_continues_data_and_log(
    tmp_path, monkeypatch
):
    """Batches have 3 images. The run is resumed before the last two of the second epoch."""
    schedule = [{'type': 'OneCycleLR', 'eta_max': 0.1, 'by_epoch': False, 'total_steps': 12}]
    options = {'loop': EPOCHS, 'param_scheduler': schedule, **SEEDED}
    run(make_config(tmp_path, **options), SignalHook(6))
    path = (tmp_path / 'last_checkpoint').read_text()
    content = torch.load(path, weights_only=True)
    losses = content['message_hub']['log_scalars']['train/loss']
    assert len(losses['history']) == len(losses['counts']) == 6
    assert 'anneal_func' not in content['param_schedulers'][0], "mmengine's function"
    monkeypatch.setattr(exact_resume, 'MAX_HISTORY', 8)
    load = mock.Mock(wraps=RandomImages.__getitem__)
    monkeypatch.setattr(RandomImages, '__getitem__', lambda *arguments: load(*arguments))
    run(resume_config(tmp_path, **options))
    assert load.call_count == 2 + 3 + IMAGES, 'no trained image is loaded'
    history, _ = MessageHub.get_current_instance().get_scalar('train/loss').data
    assert history[:2].tolist() == losses['history'].tolist()[-2:]
    assert len(history) == 8


@pytest.mark.parametrize(
    'loader', [{'batch_size': None}, {'sampler': None}, DataLoader(RandomImages())]
)
def test_a_dataloader_that_cannot_resume_within_an_epoch_is_rejected(loader, tmp_path):
    """One that is built is rejected too."""
    cfg = make_config(tmp_path, loop=EPOCHS)
    if isinstance(loader, dict):
        loader = cfg.train_dataloader | loader
    with pytest.raises(UserError, match='is not a dict with a batch_size and a sampler, so'):
        EpochBasedTrainLoop(None, loader, max_epochs=1)


SETTINGS = st.tuples(st.integers(2, 5), st.integers(3, 5), st.sampled_from([0.01, 0.02]))


@settings(max_examples=8, phases=NO_SHRINKING)
@given(before=SETTINGS, after=SETTINGS, stop=st.integers(1, 5))
def test_a_resumed_run_has_the_lrs_and_schedule_of_its_config(
    before, after, stop, tmp_path_factory
):
    """They equal those of a run that had its batch size, length and LR from the start."""
    folder = tmp_path_factory.mktemp('runs')

    def train(name, images, length, lr, *hooks, resume=False):
        warm_up = {'type': 'LinearLR', 'start_factor': 0.1, 'by_epoch': False, 'end': 3}
        decay = {'type': 'CosineAnnealingLR', 'T_max': length, 'end': length}
        options = {'images': images, 'param_scheduler': [warm_up, decay], 'resume': resume}
        cfg = make_config(folder / name, EPOCHS | {'max_epochs': length}, **options, **SEEDED)
        cfg.train_dataloader.drop_last = True  # batch normalisation needs two images
        cfg.optim_wrapper.optimizer.lr = lr
        run(cfg, *hooks)
        state = last(folder / name)
        return state['param_schedulers'], [x['lr'] for x in state['optimizer']['param_groups']]

    whole = train('whole', *after)
    train('resumed', *before, SignalHook(stop))
    assert train('resumed', *after, NewScheduleHook(), resume=True) == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    'task', ['classify', *(pytest.param(x, marks=pytest.mark.long) for x in ('segment', 'detect'))]
)
def test_a_real_model_of_each_task_resumes_exactly(task, digits, tmp_path):
    """Each has its own augmentation, drop path and LR schedule, and two dataloader workers."""
    length = 'max_iters' if task == 'segment' else 'max_epochs'
    options = ['--cfg-options', 'randomness.seed=0', 'train_dataloader.num_workers=2']
    options += ['default_hooks.checkpoint.interval=1']
    whole, resumed = tmp_path / 'whole', tmp_path / 'resumed'
    train_task(digits, task, whole, *options, f'train_cfg.{length}=2')
    train_task(digits, task, resumed, *options, f'train_cfg.{length}=1')
    train_task(digits, task, resumed, '--resume', *options, f'train_cfg.{length}=2')
    parts = ['state_dict', 'optimizer']
    assert_same(read_last_state(resumed, parts), read_last_state(whole, parts))
