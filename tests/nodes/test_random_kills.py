"""Processes of a training on several ranks are killed at random moments. The run resumes each time,
and ends in the state of an uninterrupted one, bit for bit.

Modules: `mmgcvit/engine`, `mmgcvit/engine/interrupts.py`.
"""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ..engine.random_training import assert_same
from .ranks import read_state, train_in_forks, train_with_torchrun
from .table import KILL, LOST

LENGTHS = {2: 3, 3: 2}  # iterations of an epoch by number of ranks; there are two epochs
CHANGES = 70  # of files in the work dir that rank 0 makes in a whole training, about
DEAD_WORKER = 'DataLoader worker'  # in torch's error


def list_moments(num_ranks):
    """List the moments of a training in their order, each as [moment, iteration]."""
    moments = []
    for epoch in range(2):
        end = (epoch + 1) * LENGTHS[num_ranks]
        moments += [['iteration', i] for i in range(end - LENGTHS[num_ranks], end)]
        moments += [[moment, end] for moment in ('saving', 'validation', 'scored')]
    return moments


def draw_kills(seed, num_ranks, num_kills):
    """Draw events, the last of which is at a change of a file, and the others in the order in which
    a training meets them.
    """
    random = Random(seed)
    moments = list_moments(num_ranks)
    kills = []
    for place in sorted(random.sample(range(len(moments)), num_kills - 1)):
        moment, iteration = moments[place]
        # Only rank 0 saves and scores.
        rank = 0 if moment in ('saving', 'scored') else random.randrange(num_ranks)
        receiver = random.choice(['rank', 'rank', 'peer', 'worker'])
        kills.append([moment, iteration, rank, KILL, receiver])
    change = random.randint(1, CHANGES)
    return [*kills, ['change', change, 0, KILL, 'rank']]


def check_ends(ended, kills):
    """Require that each rank was killed, or ends with the reason that another process was."""
    for code, output in ended:
        assert code in (-KILL, 1), (code, kills, output[-2000:])
        assert code == -KILL or LOST in output or DEAD_WORKER in output, (kills, output[-2000:])


def train_until_the_end(num_ranks, work_dir, kills):
    """Start a training again after each kill, until it ends by itself."""
    for _ in range(len(kills) + 1):
        ended = train_in_forks(num_ranks, work_dir, '--resume', events=kills)
        if [code for code, _ in ended] == [0] * num_ranks:
            return
        check_ends(ended, kills)
    raise AssertionError(f'more ends than kills: {kills}, {[text[-2000:] for _, text in ended]}')


@pytest.mark.release
@pytest.mark.parametrize('num_ranks', [2, 3])
def test_a_training_that_is_killed_anywhere_resumes_exactly(num_ranks, whole, tmp_path_factory):
    """A rank, another rank or a data worker is killed at moments of the training, and rank 0 also
    at any change of a file of the run.
    """

    @settings(max_examples=4)
    @given(seed=st.integers(0, 10**6))
    def check(seed):
        work_dir = tmp_path_factory.mktemp('killed') / 'run'
        kills = draw_kills(seed, num_ranks, num_kills=4)
        train_until_the_end(num_ranks, work_dir, kills)
        assert_same(read_state(work_dir), whole(num_ranks))
        assert not list(work_dir.glob('*.unfinished'))

    check()


@pytest.mark.release
@pytest.mark.parametrize(('num_ranks', 'seed'), [(2, 1), (3, 2)])
def test_torchrun_restarts_a_training_that_is_killed_anywhere(num_ranks, seed, whole, tmp_path):
    """As above, in one job of tools/dist_train.sh."""
    work_dir = tmp_path / 'run'
    kills = draw_kills(seed, num_ranks, num_kills=6)
    code, output = train_with_torchrun(
        num_ranks, work_dir, '--resume', events=kills, MAX_RESTARTS=f'{len(kills)}'
    )
    assert code == 0, (kills, output[-3000:])
    assert_same(read_state(work_dir), whole(num_ranks))
