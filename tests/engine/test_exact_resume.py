"""A resumed run is the run: after an interruption anywhere it ends with the same numbers, bit for bit."""

from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.hooks import Hook
from torch.utils.data import DataLoader

from mmgcvit.checkpoints import CheckpointError, read_checkpoint
from mmgcvit.checkpoints.resuming import RUN

from ..processes import answers_of
from .drawing import IMAGES, DrawingImages, config, run
from .states import difference, last_state

EPOCHS = {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 3}
ITERATIONS = {'type': 'mmgcvit.IterBasedTrainLoop', 'max_iters': 11}
SEEDED = {'randomness': {'seed': 5}}


def resumed(work_dir, **options):
    assert (work_dir / 'last_checkpoint').is_file()
    return config(work_dir, resume=True, **options)


def equal(one, other):
    assert difference(last_state(one), last_state(other)) is None


def whole_and_resumed(tmp_path, stop, **options):
    """Run once as a whole, and once to an iteration and from there."""
    whole, torn = tmp_path / 'whole', tmp_path / 'torn'
    run(config(whole, **SEEDED, **options))
    run(config(torn, **SEEDED, **options), stop)
    run(resumed(torn, **SEEDED, **options))
    return whole, torn


@pytest.fixture(autouse=True)
def nothing_but_training(monkeypatch):
    """A run says nothing of machine and version, which takes it longer than all of its training."""
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    monkeypatch.setattr('mmengine.runner.runner.get_git_hash', str)


# An epoch has 4 iterations: 3, 3, 3 and 2 images.
CASES = {
    'at the end of an epoch': {'stop': 4, 'loop': EPOCHS, 'saves': None},
    'before the end of an epoch': {'stop': 6, 'loop': EPOCHS},
    'after the last batch of an epoch': {'stop': 8, 'loop': EPOCHS},
    'iterations': {'stop': 3, 'loop': ITERATIONS, 'sampler': 'InfiniteSampler'},
    'iterations, in the second pass over the images': {'stop': 6, 'loop': ITERATIONS},
}


@pytest.mark.parametrize('workers', [0, 2, -2], ids=['no worker', '2 workers', '2 persistent workers'])
@pytest.mark.parametrize('case', CASES)
def test_it_ends_as_without_an_interruption(case, workers, tmp_path):
    equal(*whole_and_resumed(tmp_path, workers=workers, **CASES[case]))


@pytest.mark.parametrize('loop', [EPOCHS, ITERATIONS], ids=['epochs', 'iterations'])
def test_how_many_workers_load_changes_nothing(loop, tmp_path):
    """Also where another number goes on."""
    run(config(tmp_path / 'none', loop=loop, **SEEDED))
    run(config(tmp_path / 'two', loop=loop, workers=2, **SEEDED), 5)
    run(resumed(tmp_path / 'two', loop=loop, workers=-1, **SEEDED))
    equal(tmp_path / 'none', tmp_path / 'two')


@pytest.mark.parametrize('case', CASES)
def test_a_run_without_a_seed_goes_on_with_the_one_it_drew(case, tmp_path, monkeypatch):
    """The same is drawn for the whole run and for the first part; another one when that is resumed."""
    options = {**CASES[case]}
    drawn = iter([7, 7, 8])
    monkeypatch.setattr('mmengine.runner.utils.sync_random_seed', lambda: next(drawn))
    whole, torn = tmp_path / 'whole', tmp_path / 'torn'
    run(config(whole, **{k: v for k, v in options.items() if k != 'stop'}))
    run(config(torn, **{k: v for k, v in options.items() if k != 'stop'}), options['stop'])
    run(resumed(torn, **{k: v for k, v in options.items() if k != 'stop'}))
    equal(whole, torn)


@pytest.mark.parametrize('stop', [5, 6, 7])
@pytest.mark.parametrize('loop', [EPOCHS, ITERATIONS], ids=['epochs', 'iterations'])
def test_gradients_of_an_unfinished_step_are_gone_on_with(loop, stop, tmp_path):
    """Of steps of 3 iterations; the last one has 2."""
    equal(*whole_and_resumed(tmp_path, stop, loop=loop, accumulated=3))


def test_the_end_of_an_epoch_may_lie_within_a_step(tmp_path):
    equal(*whole_and_resumed(tmp_path, 4, loop=EPOCHS, accumulated=3, saves=None))


MMENGINES = {
    'epochs': {'loop': {'by_epoch': True, 'max_epochs': 3}},
    'iterations': {'loop': {'by_epoch': False, 'max_iters': 11}, 'sampler': 'InfiniteSampler'},
}


@pytest.mark.parametrize('case', MMENGINES)
def test_with_mmengines_loops_it_ends_elsewhere(case, tmp_path):
    """Which the tests above would see."""
    whole, torn = whole_and_resumed(tmp_path, 6, **MMENGINES[case])
    assert difference(last_state(torn), last_state(whole)) is not None


def test_every_sample_of_every_epoch_draws_anew(tmp_path):
    """Which they would not notice."""
    collected = CollectHook()
    run(config(tmp_path, loop=EPOCHS, workers=2, **SEEDED), hook=collected)
    drawn = torch.cat(collected.inputs)[:, 1:]
    assert len(drawn) == 3 * IMAGES
    assert drawn.unique().numel() == drawn.numel()


@pytest.mark.parametrize('loop', [EPOCHS, ITERATIONS], ids=['epochs', 'iterations'])
def test_nothing_that_was_trained_with_is_loaded_again(loop, tmp_path):
    run(config(tmp_path, loop=loop, **SEEDED), 6)
    collected = CollectHook()
    with mock.patch.object(DrawingImages, '__getitem__', autospec=True, side_effect=DrawingImages.__getitem__) as load:
        run(resumed(tmp_path, loop=loop, **SEEDED), hook=collected)
    assert load.call_count == sum(map(len, collected.inputs))


def test_the_log_counts_the_iterations_of_the_epoch_that_is_gone_on_with(tmp_path):
    run(config(tmp_path, loop=EPOCHS, **SEEDED), 6)
    collected = CollectHook()
    run(resumed(tmp_path, loop=EPOCHS, **SEEDED), hook=collected)
    assert collected.numbers == [(6, 2), (7, 3), (8, 0), (9, 1), (10, 2), (11, 3)]


@pytest.mark.parametrize(('images', 'accumulated'), [(5, 1), (3, 2), (2, 2)])
def test_another_number_of_images_in_a_step_stops_a_run_in_a_sentence(images, accumulated, tmp_path):
    run(config(tmp_path, loop=EPOCHS), 4)
    with pytest.raises(CheckpointError, match=r'trained with 3 \(1 processes x 3 images x 1 accumulated\) images'):
        run(resumed(tmp_path, loop=EPOCHS, images=images, accumulated=accumulated))


def test_an_epoch_of_more_images_is_gone_on_with_from_the_same_share_of_it(tmp_path, monkeypatch):
    """In the middle of the second epoch, of 8 batches instead of 4."""
    run(config(tmp_path, loop=EPOCHS, **SEEDED), 6)
    monkeypatch.setattr(DrawingImages, '__len__', lambda _: 2 * IMAGES + 1)
    collected = CollectHook()
    run(resumed(tmp_path, loop=EPOCHS, **SEEDED), hook=collected)
    assert collected.numbers[0] == (12, 4)
    assert collected.numbers[-1] == (23, 7)


SCALED = {'auto_scale_lr': {'enable': True, 'base_batch_size': 3}}


@pytest.mark.parametrize('stop', [4, 6])
def test_the_learning_rate_follows_other_images_if_it_is_scaled(stop, tmp_path):
    """From an epoch's end or its middle; the schedules end as those of a run that had so many images all along."""
    run(config(tmp_path / 'whole', loop=EPOCHS, images=6, **SCALED))
    run(config(tmp_path / 'resumed', loop=EPOCHS), stop)
    run(resumed(tmp_path / 'resumed', loop=EPOCHS, images=6, **SCALED))
    found, expected = (last_state(tmp_path / name) for name in ('resumed', 'whole'))
    assert found['param_schedulers'] == expected['param_schedulers']
    assert rates(found) == rates(expected)


def rates(checkpoint):
    return [(group['lr'], group['initial_lr']) for group in checkpoint['optimizer']['param_groups']]


def test_scaling_that_is_turned_on_later_is_followed_too(tmp_path):
    """In batches of the same size; a run that was scaled before goes on as it is."""
    scaled = {'auto_scale_lr': {'enable': True, 'base_batch_size': 6}}
    run(config(tmp_path / 'whole', loop=EPOCHS, **SEEDED, **scaled))
    for name, before in (('later', {}), ('always', scaled)):
        run(config(tmp_path / name, loop=EPOCHS, **SEEDED, **before), 5)
        run(resumed(tmp_path / name, loop=EPOCHS, **SEEDED, **scaled))
        assert rates(last_state(tmp_path / name)) == rates(last_state(tmp_path / 'whole'))
    equal(tmp_path / 'always', tmp_path / 'whole')


@pytest.fixture
def of_before(tmp_path):
    """The folder of a run whose checkpoint says nothing of it."""
    run(config(tmp_path, loop=EPOCHS), 4)
    path = (tmp_path / 'last_checkpoint').read_text()
    content = torch.load(path, weights_only=False)
    del content[RUN]
    torch.save(content, path)
    return tmp_path


def test_a_checkpoint_of_before_cannot_have_its_rate_scaled(of_before):
    with pytest.raises(CheckpointError, match='does not say of how many images its batches were'):
        run(resumed(of_before, loop=EPOCHS, images=6, **SCALED))


def test_a_checkpoint_of_before_is_gone_on_with_and_that_is_said(of_before, logged):
    run(resumed(of_before, loop=EPOCHS))
    assert sum('saved without mmgcvit.ExactResumeHook' in line for line in logged) == 1


@pytest.mark.parametrize('case', MMENGINES)
def test_a_hosts_loop_is_said_to_repeat_draws(case, tmp_path, logged):
    run(config(tmp_path, **MMENGINES[case]), 4)
    run(resumed(tmp_path, **MMENGINES[case]))
    assert sum('the resumed run repeats random draws' in line for line in logged) == 1


@pytest.fixture
def logged(monkeypatch):
    """What the hook says, line by line."""
    lines = []
    monkeypatch.setattr('mmgcvit.engine.exact_resume.print_log', lambda line, *_: lines.append(line))
    return lines


def test_data_without_batches_of_indices_are_refused(tmp_path):
    cfg = config(tmp_path, loop=EPOCHS)
    cfg.train_dataloader.batch_size = None
    with pytest.raises(ValueError, match='train_dataloader has no batches of indices'):
        run(cfg)


RANKS = ({'LOCAL_RANK': '0'}, {'LOCAL_RANK': '1'})
WRAPPER = {'type': 'MMDistributedDataParallel', 'device_ids': None, 'broadcast_buffers': False}
TWO = {'launcher': 'pytorch', 'model_wrapper_cfg': WRAPPER}


@pytest.mark.parametrize('accumulated', [1, 3])
@pytest.mark.parametrize('saves', [1, None], ids=['iterations', 'epochs'])
def test_of_two_processes_each_goes_on(saves, accumulated, tmp_path):
    """With draws and half-summed gradients of its own. An epoch has 2 iterations: 3 and 3, and 3 and 2 images."""
    stop = 3 if saves else 2
    answers_of(train_in_two, [(str(tmp_path), stop, saves, accumulated)] * 2, RANKS)
    equal(tmp_path / 'whole', tmp_path / 'torn')


def train_in_two(folder, stop, saves, accumulated):
    """What one of the processes does."""
    whole_and_resumed(Path(folder), stop, loop=EPOCHS, saves=saves, accumulated=accumulated, **TWO)


def test_other_processes_go_on_with_the_same_images_in_a_step(tmp_path, logged):
    """Of two processes with 3 images each one with 6: said in a line."""
    answers_of(train_first_in_two, [(str(tmp_path),)] * 2, RANKS)
    run(resumed(tmp_path, loop=EPOCHS, images=6, **SEEDED))
    assert sum('2 processes saved the checkpoint and 1 go on' in line for line in logged) == 1


def train_first_in_two(folder):
    run(config(Path(folder), loop=EPOCHS, **TWO, **SEEDED), 1)


class CollectHook(Hook):
    """Keeps what a run trains with, and how iterations are counted."""

    def __init__(self):
        self.inputs, self.numbers = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.inputs.append(torch.stack(list(data_batch['inputs'])))
        self.numbers.append((runner.iter, batch_idx))


def test_a_run_that_counts_iterations_is_not_begun_anew_by_one_that_counts_epochs(tmp_path):
    run(config(tmp_path, loop=ITERATIONS, **SEEDED), 7)
    with pytest.raises(CheckpointError, match=r'counts iterations \(7, of 4 in an epoch, and 0 epochs\)'):
        run(resumed(tmp_path, loop=EPOCHS, **SEEDED))


def test_a_run_past_its_end_loads_nothing(tmp_path, monkeypatch):
    """Workers would pass over as many batches as a checkpoint says that there were."""
    run(config(tmp_path, loop=ITERATIONS, **SEEDED))
    monkeypatch.setattr(DataLoader, '__iter__', None)
    run(resumed(tmp_path, loop=ITERATIONS, workers=2, **SEEDED))


@pytest.mark.parametrize('by_epoch', [False, True])
def test_a_schedule_that_keeps_a_function_is_resumed(by_epoch, tmp_path):
    """mmengine saves OneCycleLR with one, which a reader that runs no code refuses."""
    steps = {'total_steps': 3} if by_epoch else {'total_steps': 11}
    schedule = [{'type': 'OneCycleLR', 'eta_max': 0.1, 'by_epoch': by_epoch, **steps}]
    whole, torn = whole_and_resumed(tmp_path, 6, loop=ITERATIONS if not by_epoch else EPOCHS, param_scheduler=schedule)
    equal(whole, torn)
    last = read_checkpoint((torn / 'last_checkpoint').read_text())
    assert 'anneal_func' not in last['param_schedulers'][0]


def test_a_checkpoint_holds_plain_values_only_and_the_log_goes_on(tmp_path):
    """What any reader takes as data; of a log that is none, as of earlier versions, the run goes on all the same."""
    run(config(tmp_path, loop=EPOCHS, **SEEDED), 6)
    path = (tmp_path / 'last_checkpoint').read_text()
    content = torch.load(path, weights_only=True)
    losses = content['message_hub']['log_scalars']['train/loss']
    assert len(losses['history']) == len(losses['counts']) == 6
    hubs = []
    for _ in range(2):
        hook = mock.Mock(spec=Hook, priority='LOWEST', after_train=lambda runner: hubs.append(runner.message_hub))
        run(resumed(tmp_path, loop=EPOCHS, **SEEDED), hook=hook)
        content['message_hub']['log_scalars']['train/loss'] = 'no log'
        torch.save(content, path := str(tmp_path / 'iter_6.pth'))
        (tmp_path / 'last_checkpoint').write_text(path)
    of_whole, of_cut = (hub.get_scalar('train/loss').data[0] for hub in hubs)
    assert of_whole[:6].tolist() == losses['history'].tolist()
    assert of_cut.tolist() == of_whole[6:].tolist()
