"""However a run is interrupted and resumed, each epoch trains on all images, with the batches of an
uninterrupted run.

The loops run with a fake runner that records which images each rank trains on. Between the sessions
of a run, the batch size, the number of processes, the number of images and the seed may change:
then the current epoch starts again.
"""

import json
from collections import Counter
from itertools import accumulate
from types import SimpleNamespace
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.runner import Runner

from mmgcvit.engine.loops import DATA_POSITION, EpochBasedTrainLoop, IterBasedTrainLoop

from .random_training import StoppedError

SEED = 5
DEFAULTS = {
    'sampler': 'DefaultSampler',
    'batch_sampler': None,
    'drop_last': False,
    'by_epoch': True,
    'epochs': 2,
}
DEFAULTS |= {'diff_rank_seed': False}


class Indices(list):
    """A dataset of its own indices. Every third image is taller than wide."""

    metainfo = {}  # noqa: RUF012

    def get_data_info(self, index):
        return {'width': 10 * (index % 3), 'height': 5}


class FakeRunner:
    """What mmengine's loops need of a runner. It records (epoch, indices) of each iteration."""

    build_dataloader = staticmethod(Runner.build_dataloader)
    val_loop = None

    def __init__(self, stop, seed, rank, diff_rank_seed):
        self.rank, self.stop, self.trained = rank, stop, []
        self.visualizer, self.optim_wrapper = SimpleNamespace(), None
        self.model = SimpleNamespace(train=lambda: None, train_step=self.train_step)
        self._randomness_cfg = {'seed': seed, 'diff_rank_seed': diff_rank_seed}
        self.cfg = {'randomness': self._randomness_cfg}
        self.set_seed(SEED if seed is None else seed)

    def set_seed(self, seed):
        self.seed = seed + (self.rank if self._randomness_cfg['diff_rank_seed'] else 0)

    def train_step(self, batch, optim_wrapper):
        self.trained.append((self.loop.epoch, [int(index) for index in batch]))
        return {}

    def call_hook(self, name, **arguments):
        if name == 'after_train_iter' and len(self.trained) == self.stop:
            raise StoppedError


def run_session(setup, session, checkpoint):
    """Train all ranks of a session.

    Return what each trained on, the next checkpoint's meta, and the loop.
    """
    setup = DEFAULTS | setup
    world_size, batch_size, stop, seed = session
    trained = []
    for rank in range(world_size):
        loader = {
            'dataset': Indices(range(setup['images'])),
            'sampler': {'type': setup['sampler'], 'shuffle': True, 'seed': SEED},
            'batch_size': batch_size,
            'num_workers': 0,
            'batch_sampler': setup['batch_sampler'] and {'type': setup['batch_sampler']},
            'drop_last': setup['drop_last'],
        }
        runner = FakeRunner(stop, seed, rank, setup['diff_rank_seed'])
        with (
            mock.patch('mmengine.dataset.sampler.get_dist_info', return_value=(rank, world_size)),
            mock.patch('mmgcvit.engine.loops.get_rank', return_value=rank),
            mock.patch('mmgcvit.engine.loops.get_world_size', return_value=world_size),
        ):
            length = (
                {'max_epochs': setup['epochs']}
                if setup['by_epoch']
                else {'max_iters': setup['iters']}
            )
            loop = (EpochBasedTrainLoop if setup['by_epoch'] else IterBasedTrainLoop)(
                runner, loader, **length
            )
        runner.loop = loop
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


def run_sessions(setup, sessions):
    """Train until the end: the last session does not stop.

    Return what was trained on by session and rank.
    """
    checkpoint, results = None, []
    last = (*sessions[-1][:2], None, sessions[-1][3])
    for session in [*sessions[:-1], last]:
        trained, checkpoint, loop = run_session(setup, session, checkpoint)
        results.append(trained)
    return results, loop


SESSIONS = st.lists(
    st.tuples(
        st.integers(1, 4), st.integers(1, 5), st.integers(1, 12), st.sampled_from([None, SEED, 6])
    ),
    min_size=1,
    max_size=4,
)
BATCH_SAMPLERS = [None, 'mmdet.AspectRatioBatchSampler']


@settings(max_examples=60)
@given(
    sessions=SESSIONS,
    images=st.integers(20, 41),
    epochs=st.integers(1, 3),
    batch_sampler=st.sampled_from(BATCH_SAMPLERS),
    drop_last=st.booleans(),
)
def test_every_epoch_trains_on_each_image_once_after_its_last_start(
    sessions, images, epochs, batch_sampler, drop_last
):
    """That is once, except images that fill up the last share of a rank or are dropped with an
    incomplete batch.
    """
    setup = {
        'images': images,
        'epochs': epochs,
        'batch_sampler': batch_sampler,
        'diff_rank_seed': images % 2 == 0,
    }
    setup['drop_last'] = drop_last and batch_sampler is None
    results, loop = run_sessions(setup, sessions)
    _, *seeds = accumulate(
        (new for *_, new in sessions), lambda old, new: new or old, initial=SEED
    )  # None: as before
    for epoch in range(epochs):
        counts, previous = Counter(), None
        for session, seed, ranks in zip(sessions, seeds, results, strict=True):
            batches = [[indices for number, indices in rank if number == epoch] for rank in ranks]
            assert len({len(rank) for rank in batches}) == 1, 'or ranks would wait for each other'
            if batches[0]:
                counts = counts if (session[:2], seed) == previous else Counter()
                previous = session[:2], seed
            counts.update(index for rank in batches for indices in rank for index in indices)
            (world_size, batch_size), _ = previous or (session[:2], SEED)
        assert counts.total() - len(counts) < world_size
        dropped = world_size * (batch_size - 1) if setup['drop_last'] else 0
        assert images - dropped <= len(counts) <= images
    assert loop.epoch == epochs
    assert loop.iter == epochs * len(loop.dataloader), (
        'the schedule, which counts iterations, ends with the last epoch'
    )


@settings(max_examples=25)
@given(
    sessions=SESSIONS,
    images=st.integers(20, 41),
    iters=st.integers(13 * 3, 60),
    sampler=st.sampled_from(['InfiniteSampler', 'DefaultSampler']),
)
def test_an_iteration_based_run_trains_as_long_as_planned_whatever_changes(
    sessions, images, iters, sampler
):
    results, loop = run_sessions(
        {'sampler': sampler, 'images': images, 'by_epoch': False, 'iters': iters}, sessions
    )
    assert loop.iter == iters
    assert sum(len(session[0]) for session in results) == iters
    counts = Counter(index for rank in results[-1] for _, indices in rank for index in indices)
    if sampler == 'InfiniteSampler':  # the other repeats images, so that all ranks have as many
        assert max(counts.values()) - min(counts[index] for index in range(images)) <= 2


@settings(max_examples=25)
@given(
    world_size=st.integers(1, 3),
    batch_size=st.integers(1, 5),
    stops=st.lists(st.integers(1, 12), max_size=3),
    images=st.integers(16, 41),
    by_epoch=st.booleans(),
    sampler=st.sampled_from(['InfiniteSampler', 'DefaultSampler']),
    batch_sampler=st.sampled_from(BATCH_SAMPLERS),
    diff_rank_seed=st.booleans(),
)
def test_with_the_same_settings_each_rank_trains_on_the_same_batches(
    world_size, batch_size, stops, images, by_epoch, sampler, batch_sampler, diff_rank_seed
):
    setup = {
        'sampler': 'DefaultSampler' if by_epoch else sampler,
        'images': images,
        'epochs': 3,
        'iters': 40,
    }
    setup |= {
        'by_epoch': by_epoch,
        'batch_sampler': batch_sampler,
        'diff_rank_seed': diff_rank_seed,
    }
    results, _ = run_sessions(setup, [(world_size, batch_size, stop, None) for stop in [*stops, 1]])
    whole, _ = run_sessions(setup, [(world_size, batch_size, None, None)])
    joined = [[step for session in results for step in session[rank]] for rank in range(world_size)]
    assert joined == whole[0]


@settings(max_examples=15)
@given(
    stop=st.integers(1, 6),
    changed=st.sampled_from([{'images': 21}, {'processes': 2}, {'batch_size': 4}, {'seed': 6}, {}]),
)
def test_with_other_settings_the_epoch_starts_again_and_a_line_says_why(stop, changed):
    """The epoch has 7 iterations of 3 images before the change."""
    _, checkpoint, _ = run_session({'images': 20}, (1, 3, stop, None), None)
    meta = (
        checkpoint
        if changed
        else {key: value for key, value in checkpoint.items() if key != DATA_POSITION}
    )
    now = {'images': 20, 'processes': 1, 'batch_size': 3, 'seed': None} | changed
    with mock.patch('mmgcvit.engine.loops.print_log') as log:
        session = now['processes'], now['batch_size'], None, now['seed']
        run_session({'images': now['images']}, session, meta)
    reason = (
        'settings have changed: '
        if changed
        else 'the checkpoint does not say which images the run has seen'
    )
    text = next(call.args[0] for call in log.call_args_list if 'starts again' in call.args[0])
    assert text.startswith(f'epoch 1 starts again, because {reason}')
    assert all(name in text for name in changed)
