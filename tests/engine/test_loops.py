"""However a run is interrupted and resumed, each epoch trains on all images, with the batches of an
uninterrupted run.

The loops run with a fake runner that records which images each rank trains on. Between the sessions
of a run, the batch size, the number of processes, the number of images and the seed may change:
then the current epoch starts again.
"""

import json
from collections import Counter
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmgcvit.engine.hooks.exact_resume import is_validation_due
from mmgcvit.engine.loops import DATA_POSITION, EpochBasedTrainLoop, IterBasedTrainLoop
from mmgcvit.errors import UserError
from mmgcvit.host.private_api import stop_workers

from .random_training import EPOCHS, ITERATIONS, RandomImages, make_config, run

SEED = 5
TWO_EPOCHS = partial(EpochBasedTrainLoop, max_epochs=2)


class StoppedError(Exception):
    """Raised after a session's last iteration."""


class Session(NamedTuple):
    """The settings of a session of a run, which may differ from the session before."""

    processes: int = 1
    batch_size: int = 3
    stop: int | None = None  # the number of iterations after which it stops
    seed: int | None = None
    images: int = 20


class Step(NamedTuple):
    """An iteration on a rank."""

    epoch: int
    batch_idx: int
    indices: list


class Indices(list):
    """A dataset of its own indices. Every third image is taller than wide."""

    metainfo = {}  # noqa: RUF012

    def get_data_info(self, index):
        return {'width': 10 * (index % 3), 'height': 5}


class FakeRunner:
    """What mmengine's loops need of a runner. It records each iteration."""

    build_dataloader = staticmethod(Runner.build_dataloader)
    val_loop = None
    hooks = ()

    def __init__(self, session, rank, diff_rank_seed):
        self.rank, self.stop, self.trained = rank, session.stop, []
        self.visualizer, self.model, self.optim_wrapper = mock.Mock(), mock.Mock(), None
        self._randomness_cfg = {'seed': session.seed, 'diff_rank_seed': diff_rank_seed}
        self.set_seed(SEED if session.seed is None else session.seed)

    def set_seed(self, seed):
        self.seed = seed + (self.rank if self._randomness_cfg['diff_rank_seed'] else 0)

    def call_hook(self, name, batch_idx=None, data_batch=None, **_):
        if name == 'after_train_iter':
            self.trained.append(Step(self.loop.epoch, batch_idx, list(map(int, data_batch))))
            if len(self.trained) == self.stop:
                raise StoppedError


def run_session(
    session,
    checkpoint=None,
    make_loop=TWO_EPOCHS,
    sampler='DefaultSampler',
    diff_rank_seed=False,
    **batches,
):
    """Train all ranks of a session.

    Return what each trained on, the next checkpoint's meta, and the loop.
    """
    trained = []
    loader = {
        'dataset': Indices(range(session.images)),
        'sampler': {'type': sampler, 'shuffle': True, 'seed': SEED},
        'batch_size': session.batch_size,
        **batches,
    }
    for rank in range(session.processes):
        runner = FakeRunner(session, rank, diff_rank_seed)
        dist_info = rank, session.processes
        with (
            mock.patch('mmengine.dataset.sampler.get_dist_info', return_value=dist_info),
            mock.patch('mmgcvit.engine.sampler.get_rank', return_value=rank),
            mock.patch('mmgcvit.engine.sampler.get_world_size', return_value=session.processes),
        ):
            runner.loop = loop = make_loop(runner, loader)
        if checkpoint is not None:
            meta = json.loads(json.dumps(checkpoint))
            loop._epoch, loop._iter = meta['epoch'], loop.resume(meta)
            runner.set_seed(meta['seed'])  # as mmengine's runner does
        try:
            loop.run()
            meta = {'epoch': loop.epoch, 'iter': loop.iter}
        except StoppedError:
            # As CheckpointHook saves within an epoch: before the loop counts the iteration.
            meta = {'epoch': loop.epoch, 'iter': loop.iter + 1}
        trained.append(runner.trained)
        if rank == 0:
            saved = {'seed': runner.seed, **meta, DATA_POSITION: loop.get_state(meta)}
    return trained, saved, loop


def run_sessions(sessions, **setup):
    """Train until the end.

    Return what was trained on by session and rank, and the last loop.
    """
    checkpoint = None
    results = []
    for session in sessions:
        trained, checkpoint, loop = run_session(session, checkpoint, **setup)
        results.append(trained)
    return results, loop


@st.composite
def draw_sessions(draw):
    """Draw sessions with one or two settings: a run is also resumed with the same ones. The last
    one does not stop.
    """
    session = st.builds(
        Session,
        processes=st.integers(1, 4),
        batch_size=st.integers(1, 5),
        seed=st.sampled_from([None, SEED, 6]),
        images=st.just(draw(st.integers(20, 41))),
    )
    sessions = st.sampled_from(draw(st.lists(session, min_size=1, max_size=2)))
    stops = draw(st.lists(st.integers(1, 12), max_size=3))
    return [draw(sessions)._replace(stop=stop) for stop in [*stops, None]]


@pytest.mark.slow
@settings(max_examples=60)
@given(
    sessions=draw_sessions(),
    epochs=st.integers(1, 3),
    batches=st.sampled_from(
        [{}, {'drop_last': True}, {'batch_sampler': {'type': 'mmdet.AspectRatioBatchSampler'}}]
    ),
    diff_rank_seed=st.booleans(),
)
def test_every_epoch_trains_on_each_image_once_after_its_last_start(
    sessions, epochs, batches, diff_rank_seed
):
    """That is once, except images that fill up the last share of a rank or are dropped with an
    incomplete batch.
    """
    make_loop = partial(EpochBasedTrainLoop, max_epochs=epochs)
    results, loop = run_sessions(
        sessions, make_loop=make_loop, diff_rank_seed=diff_rank_seed, **batches
    )
    for epoch in range(epochs):
        counts = Counter()
        for session, ranks in zip(sessions, results, strict=True):
            steps = [[step for step in rank if step.epoch == epoch] for rank in ranks]
            assert len({len(rank) for rank in steps}) == 1, 'or ranks would wait for each other'
            for step in (step for rank in steps for step in rank):
                if step is steps[0][0] and step.batch_idx == 0:
                    counts = Counter()
                    started = session
                counts.update(step.indices)
        assert counts.total() - len(counts) < started.processes
        num_dropped = started.processes * (started.batch_size - 1) if 'drop_last' in batches else 0
        assert session.images - num_dropped <= len(counts) <= session.images
    assert loop.epoch == epochs
    # The schedule, which counts iterations, ends with the last epoch.
    assert loop.iter == epochs * len(loop.dataloader)


@pytest.mark.slow
@settings(max_examples=25)
@given(
    sessions=draw_sessions(),
    iters=st.integers(13 * 3, 60),
    sampler=st.sampled_from(['InfiniteSampler', 'DefaultSampler']),
)
def test_an_iteration_based_run_trains_as_long_as_planned_whatever_changes(
    sessions, iters, sampler
):
    make_loop = partial(IterBasedTrainLoop, max_iters=iters)
    results, loop = run_sessions(sessions, make_loop=make_loop, sampler=sampler)
    assert loop.iter == iters
    assert sum(len(ranks[0]) for ranks in results) == iters
    counts = Counter(index for rank in results[-1] for step in rank for index in step.indices)
    if sampler == 'InfiniteSampler':  # the other repeats images, so that all ranks have as many
        least = min(counts[index] for index in range(sessions[-1].images))
        assert max(counts.values()) - least <= 2


def test_each_epoch_has_its_own_order():
    (steps,), _, loop = run_session(Session())
    batches = [step.indices for step in steps]
    length = len(loop.dataloader)
    assert batches[:length] != batches[length:]


@pytest.mark.parametrize(
    'changed', [{'images': 21}, {'processes': 2}, {'batch_size': 4}, {'seed': 6}]
)
def test_with_other_settings_the_epoch_starts_again_and_a_line_says_why(changed):
    """The epoch has 7 iterations of 3 images before the change."""
    _, meta, _ = run_session(Session(stop=6))
    with mock.patch('mmgcvit.engine.loops.log_warning') as log:
        _, _, loop = run_session(Session(**changed), meta)
    assert loop.has_new_settings
    text = log.call_args.args[0]
    assert text.startswith('epoch 1 starts at iteration 0, because settings have changed: ')
    assert all(name in text for name in changed)


def test_too_few_images_for_one_batch_are_rejected():
    message = r'too few images for one batch of 2 x 3 .*drop_last=False'
    with pytest.raises(UserError, match=message):
        run_session(Session(processes=2, images=4), drop_last=True)


@given(
    is_by_epoch=st.booleans(),
    begin=st.integers(1, 4),
    interval=st.integers(1, 4),
    later=st.none() | st.tuples(st.integers(2, 6), st.integers(1, 4)),
)
def test_a_run_validates_as_its_settings_say_and_a_resumed_one_knows_when(
    is_by_epoch, begin, interval, later
):
    """The end is always validated. ``dynamic_intervals`` change the interval for the epoch or
    iteration that comes next.
    """
    length = 7
    options = {'val_begin': begin, 'val_interval': interval}
    if later:
        options['dynamic_intervals'] = [later]
    make_loop = partial(IterBasedTrainLoop, max_iters=length, **options)
    if is_by_epoch:
        make_loop = partial(EpochBasedTrainLoop, max_epochs=length, **options)
    validated = []
    unit = 'epoch' if is_by_epoch else 'iter'

    def make_validating_loop(runner, loader):
        loop = make_loop(runner, loader)
        runner.val_loop = SimpleNamespace(run=lambda: validated.append(getattr(loop, unit)))
        return loop

    _, _, loop = run_session(Session(images=3), make_loop=make_validating_loop)
    due = []
    expected = []
    for done in range(length + 1):
        position = {unit: done, f'max_{unit}s': length}
        if is_validation_due(SimpleNamespace(train_loop=loop, val_loop=True, **position)):
            due.append(done)
        current = later[1] if later and done + 1 >= later[0] else interval
        if done >= begin and (done % current == 0 or done == length):
            expected.append(done)
    assert validated == due == expected


def test_no_validation_is_due_within_an_epoch():
    """A run that is resumed there, with another interval, does not make up for an earlier one."""
    _, _, loop = run_session(Session(images=3))
    runner = SimpleNamespace(train_loop=loop, val_loop=True, epoch=1, max_epochs=2)
    assert is_validation_due(runner)
    loop.batch_sampler.position = replace(loop.position, num_done=1)
    assert not is_validation_due(runner)


@pytest.mark.parametrize('loop', [EPOCHS, ITERATIONS | {'val_interval': 2}])
def test_the_model_is_in_training_mode_after_a_validation_too(loop, tmp_path):
    modes = []

    class ModesHook(Hook):
        def before_train_iter(self, runner, **_):
            modes.append(runner.model.training)

        def before_val_iter(self, runner, **_):
            modes.append(not runner.model.training)

    run(make_config(tmp_path, loop, get_score=lambda: 1.0), ModesHook())
    assert modes
    assert all(modes)


def test_an_error_of_the_data_is_not_taken_for_a_signal(tmp_path, monkeypatch):
    load = mock.Mock(side_effect=RuntimeError('of the data'))
    monkeypatch.setattr(RandomImages, '__getitem__', load)
    with pytest.raises(RuntimeError, match='of the data'):
        run(make_config(tmp_path, EPOCHS))


@pytest.mark.parametrize('is_persistent', [False, True])
def test_data_workers_of_iteration_based_runs_call_the_function_that_a_hook_sets(
    is_persistent, tmp_path
):
    """The loop of mmengine 0.10.7 starts workers when it is built, before the hooks."""

    def make_loop(runner, loader):
        loop = IterBasedTrainLoop(runner, loader, max_iters=2)
        iter(loop.dataloader)
        loop.dataloader.worker_init_fn = lambda worker: (tmp_path / str(worker)).touch()
        return loop

    workers = {'num_workers': 1, 'persistent_workers': is_persistent}
    _, _, loop = run_session(Session(), make_loop=make_loop, **workers)
    loop.dataloader_iterator.close()
    stop_workers(loop.dataloader)
    assert [path.name for path in tmp_path.iterdir()] == ['0']
