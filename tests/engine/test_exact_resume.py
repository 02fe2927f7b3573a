"""A resumed run is the run: after an interruption anywhere it ends with the same numbers, bit for bit."""

import random
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from mmgcvit.checkpoints import CheckpointError
from mmgcvit.checkpoints.resuming import RUN
from mmgcvit.engine.exact_resume import mean_gradients
from mmgcvit.engine.loops import WHOLE_BATCH, seed_generators

from ..processes import answers_of
from ..tools.commands import train as train_task
from .drawing import IMAGES, DrawingImages, config, difference, last_state, run
from .kills import TASKS, kill_often

EPOCHS = {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 3}
ITERATIONS = {'type': 'mmgcvit.IterBasedTrainLoop', 'max_iters': 11}
MMENGINES = (
    {'loop': {'by_epoch': True, 'max_epochs': 3}},
    {'loop': {'by_epoch': False, 'max_iters': 11}, 'sampler': 'InfiniteSampler'},
)
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


@pytest.fixture
def logged(monkeypatch):
    """What the hook says, line by line."""
    lines = []
    monkeypatch.setattr('mmgcvit.engine.exact_resume.print_log', lambda line, *_: lines.append(line))
    return lines


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
        seed_generators(seed, rank=0, iteration=10**9, place=WHOLE_BATCH)


# An epoch has 4 iterations: 3, 3, 3 and 2 images.
CASES = {
    'at the end of an epoch': {'stop': 4, 'loop': EPOCHS, 'saves': None},
    'before the end of an epoch': {'stop': 6, 'loop': EPOCHS},
    'after the last batch of an epoch': {'stop': 8, 'loop': EPOCHS},
    'iterations': {'stop': 3, 'loop': ITERATIONS, 'sampler': 'InfiniteSampler'},
    'iterations, in the second pass over the images': {'stop': 6, 'loop': ITERATIONS},
    # Of steps of 3 iterations; the last one has 2.
    'within a step, in an epoch': {'stop': 5, 'loop': EPOCHS, 'accumulated': 3},
    'after a step, in an epoch': {'stop': 6, 'loop': EPOCHS, 'accumulated': 3},
    'within a step, iterations': {'stop': 7, 'loop': ITERATIONS, 'accumulated': 3},
    'within a step, at the end of an epoch': {'stop': 4, 'loop': EPOCHS, 'accumulated': 3, 'saves': None},
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


def test_with_mmengines_loops_it_ends_elsewhere_and_that_is_said(tmp_path, logged):
    """Which the tests above would see."""
    for number, mmengines in enumerate(MMENGINES):
        whole, torn = whole_and_resumed(tmp_path / str(number), 6, **mmengines)
        assert difference(last_state(torn), last_state(whole)) is not None
        assert sum('the resumed run repeats random draws' in line for line in logged) == number + 1


class CollectHook(Hook):
    """Keeps what a run trains with, and how iterations are counted."""

    def __init__(self):
        self.inputs, self.numbers = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.inputs.append(torch.stack(list(data_batch['inputs'])))
        self.numbers.append((runner.iter, batch_idx))


def test_nothing_that_was_trained_with_is_loaded_again_and_the_log_counts_on(tmp_path, monkeypatch):
    for name, loop in (('epochs', EPOCHS), ('iterations', ITERATIONS)):
        run(config(tmp_path / name, loop=loop, **SEEDED), 6)
        collected = CollectHook()
        load = mock.patch.object(DrawingImages, '__getitem__', autospec=True, side_effect=DrawingImages.__getitem__)
        with load as loaded:
            run(resumed(tmp_path / name, loop=loop, **SEEDED), hook=collected)
        assert loaded.call_count == sum(map(len, collected.inputs))
        if loop is EPOCHS:
            assert collected.numbers == [(6, 2), (7, 3), (8, 0), (9, 1), (10, 2), (11, 3)]
    # A run past its end loads nothing: workers would pass over as many batches as a checkpoint says that there were.
    iterate = DataLoader.__iter__
    monkeypatch.setattr(DataLoader, '__iter__', lambda loader: iterate(loader) if not loader.num_workers else None)
    run(resumed(tmp_path / 'iterations', loop=ITERATIONS, workers=2, **SEEDED))


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


SCALED = {'auto_scale_lr': {'enable': True, 'base_batch_size': 3}}


def rates(work_dir):
    return [(group['lr'], group['initial_lr']) for group in last_state(work_dir)['optimizer']['param_groups']]


def test_the_learning_rate_follows_other_images_if_it_is_scaled(tmp_path):
    """From an epoch's end or its middle; the schedules end as those of a run that had so many images all along.

    Also where scaling is turned on later, of batches of the same size; a run that was scaled before goes on as it is.
    """
    of_6 = {'auto_scale_lr': {'enable': True, 'base_batch_size': 6}, **SEEDED}
    for whole, scaled, torn in (
        ('6 images', {'images': 6, **SCALED}, {'end': (4, {}), 'middle': (6, {})}),
        ('base of 6', of_6, {'later': (5, SEEDED), 'always': (5, of_6)}),
    ):
        run(config(tmp_path / whole, loop=EPOCHS, **scaled))
        for name, (stop, before) in torn.items():
            run(config(tmp_path / name, loop=EPOCHS, **before), stop)
            run(resumed(tmp_path / name, loop=EPOCHS, **scaled))
            schedules = (last_state(tmp_path / folder)['param_schedulers'] for folder in (name, whole))
            assert difference(*schedules) is None, name
            assert rates(tmp_path / name) == rates(tmp_path / whole), name
    equal(tmp_path / 'always', tmp_path / 'base of 6')


def test_an_epoch_of_more_images_is_gone_on_with_from_the_same_share_of_it(tmp_path, monkeypatch):
    """In the middle of the second epoch, of 8 batches instead of 4."""
    run(config(tmp_path, loop=EPOCHS, **SEEDED), 6)
    monkeypatch.setattr(DrawingImages, '__len__', lambda _: 2 * IMAGES + 1)
    collected = CollectHook()
    run(resumed(tmp_path, loop=EPOCHS, **SEEDED), hook=collected)
    assert (collected.numbers[0], collected.numbers[-1]) == ((12, 4), (23, 7))


def test_what_cannot_be_gone_on_from_is_refused_in_a_sentence(tmp_path, logged):
    run(config(tmp_path / 'epochs', loop=EPOCHS), 4)
    run(config(tmp_path / 'iterations', loop=ITERATIONS, **SEEDED), 7)
    other_batch = r'trained with 3 \(1 processes x 3 images x 1 acc.*resume'
    for folder, options, message in (
        *(('epochs', {'images': 5}, other_batch), ('epochs', {'accumulated': 2}, other_batch)),
        ('iterations', SEEDED, r'counts iterations \(7, of 4 in an epoch, and 0 epochs\)'),
    ):
        with pytest.raises(CheckpointError, match=message):
            run(resumed(tmp_path / folder, loop=EPOCHS, **options))
    path = (tmp_path / 'epochs' / 'last_checkpoint').read_text()
    content = torch.load(path, weights_only=True)
    del content[RUN]
    torch.save(content, path)
    with pytest.raises(CheckpointError, match='does not say of how many images its batches were'):
        run(resumed(tmp_path / 'epochs', loop=EPOCHS, images=6, **SCALED))
    # Without scaling it is gone on with, and that is said.
    run(resumed(tmp_path / 'epochs', loop=EPOCHS))
    assert sum('saved without mmgcvit.ExactResumeHook' in line for line in logged) == 1
    cfg = config(tmp_path / 'new', loop=EPOCHS)
    cfg.train_dataloader.batch_size = None
    with pytest.raises(ValueError, match='train_dataloader has no batches of indices'):
        run(cfg)


RANKS = ({'LOCAL_RANK': '0'}, {'LOCAL_RANK': '1'})
WRAPPER = {'type': 'MMDistributedDataParallel', 'device_ids': None, 'broadcast_buffers': False}
TWO = {'launcher': 'pytorch', 'model_wrapper_cfg': WRAPPER}


def test_of_two_processes_each_goes_on(tmp_path, logged):
    """With draws of its own, and half-summed gradients of which the checkpoint holds one, the mean.

    An epoch has 2 iterations: 3 and 3, and 3 and 2 images. And one process goes on with as many images in a step, which
    is said in a line, from the same gradients.
    """
    answers_of(train_in_two, [(str(tmp_path),)] * 2, RANKS)
    for saves, accumulated in ((1, 1), (1, 3), (None, 3)):
        folder = tmp_path / f'{saves} saves, {accumulated} accumulated'
        equal(folder / 'whole', folder / 'torn')
    held = last_state(tmp_path / 'first', [RUN])[RUN]['gradients']
    found = {}
    hook = mock.Mock(spec=Hook, priority='LOWEST')
    hook.before_train_iter.side_effect = lambda runner, **_: (
        found or found.update({name: parameter.grad.clone() for name, parameter in runner.model.named_parameters()})
    )
    run(resumed(tmp_path / 'first', loop=EPOCHS, images=6, accumulated=3, **SEEDED), hook=hook)
    assert len(held) == 6
    assert difference(found, held) is None
    assert sum('2 processes saved the checkpoint and 1 go on' in line for line in logged) == 1


def train_in_two(folder):
    """What one of the processes does."""
    for saves, stop, accumulated in ((1, 3, 1), (1, 3, 3), (None, 2, 3)):
        place = Path(folder, f'{saves} saves, {accumulated} accumulated')
        whole_and_resumed(place, stop, loop=EPOCHS, saves=saves, accumulated=accumulated, **TWO)
    run(config(Path(folder, 'first'), loop=EPOCHS, accumulated=3, **TWO, **SEEDED), 1)


@pytest.mark.skipif(torch.__version__.startswith('2.1.'), reason='its DDP sums only what the last iteration used')
@pytest.mark.parametrize('as_views', [False, True])
def test_that_a_step_is_saved_within_changes_it_by_roundings_only(as_views):
    """Though one process has no gradient for a part, and where gradients are views into what DDP exchanges."""
    (plain, nothing), others = answers_of(weights_after_a_step, [(False, as_views)] * 2)
    (saved, held), (other_saved, other_held) = answers_of(weights_after_a_step, [(True, as_views)] * 2)
    assert (others, other_saved, other_held) == ((plain, nothing), saved, held)
    assert (nothing, list(held)) == ({}, ['0.weight', '1.weight'])
    # Weights and their step are below 1, and gradients sums of a dozen such numbers, each rounded by 6e-8 at most.
    np.testing.assert_allclose(saved, plain, atol=1e-6, rtol=0)


def weights_after_a_step(saves, as_views):
    """What one of the processes has after a step of three iterations, and what it would save after the second."""
    torch.manual_seed(0)
    layers = nn.ModuleList(nn.Linear(4, 4, bias=False) for _ in range(3))
    # A part for both, one for the second process at first, and one for the first process at last.
    layers.forward = lambda images, parts: sum(layers[part](images).square().sum() for part in parts)
    model = DistributedDataParallel(layers, find_unused_parameters=True, gradient_as_bucket_view=as_views)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1), accumulative_counts=3)
    wrapper.initialize_count_status(model, 0, 3)
    runner, held = SimpleNamespace(model=model, optim_wrapper=wrapper), {}
    for iteration in range(3):
        parts = [
            0,
            *([1] if (get_rank(), iteration) == (1, 0) else []),
            *([2] if (get_rank(), iteration) == (0, 2) else []),
        ]
        with wrapper.optim_context(model):
            wrapper.update_params(model(torch.rand(2, 4) + get_rank(), parts))
        if saves and iteration == 1:
            held = {name: gradient.tolist() for name, gradient in mean_gradients(runner).items()}
    return [weights.tolist() for weights in model.parameters()], held


@pytest.mark.slow
@pytest.mark.parametrize(('task', 'kills'), [(TASKS[0], 0), pytest.param(TASKS[1], 2, marks=pytest.mark.long)])
def test_a_killed_training_that_is_resumed_ends_as_one_that_was_not_killed(task, kills, digits, tmp_path):
    """Whole trainings of the hosts' models, killed while they write and at other moments: :mod:`.kills`."""
    for outcome in kill_often(digits, task, tmp_path, random.Random(0), kills, while_writing=1):
        assert outcome.difference is None, outcome


@pytest.mark.long
def test_a_detector_goes_on_after_an_epoch_as_without_an_end(digits, tmp_path):
    """Mask R-CNN, which draws boxes too, in batches of like shapes. Its schedule keeps the length it was made for."""
    options = ['--cfg-options', 'randomness.seed=0', 'train_dataloader.num_workers=2', 'train_dataloader.batch_size=2']
    train_task(digits, 'detect', tmp_path / 'whole', *options, 'train_cfg.max_epochs=2')
    train_task(digits, 'detect', tmp_path / 'torn', *options, 'train_cfg.max_epochs=1')
    train_task(digits, 'detect', tmp_path / 'torn', '--resume', *options, 'train_cfg.max_epochs=2')
    found, expected = (last_state(tmp_path / folder, ['state_dict', 'optimizer']) for folder in ('torn', 'whole'))
    assert difference(found, expected) is None
