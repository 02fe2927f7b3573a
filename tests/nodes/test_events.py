"""What ranks do when one of them, or all, get a signal: what they say, what is lost, and that the
resumed run ends in the state of an uninterrupted one, bit for bit.

Modules: `mmgcvit/engine`, `mmgcvit/interrupts.py`.
"""

import re
import signal
import socket

import pytest

from mmgcvit.runs import RunFolder

from ..engine.random_training import assert_same
from .ranks import read_state, train_in_forks, train_with_torchrun

TERM, USR1, KILL, STOP = (signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL, signal.SIGSTOP)
PREEMPTED = 143
SHORT = ['env_cfg.dist_cfg.timeout=15']
# Gloo's own error is in parentheses. A rank that has ended has another one.
TIMED_OUT = re.compile(
    r'because another rank has ended or hangs \(.*(Timed out waiting|Application timeout)'
)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Return a function that gives the state of an uninterrupted run on a number of ranks."""
    states = {}

    def get(num_ranks):
        if num_ranks not in states:
            folder = tmp_path_factory.mktemp('whole') / 'run'
            for code, output in train_in_forks(num_ranks, folder):
                assert code == 0, output[-2000:]
            states[num_ranks] = read_state(folder)
        return states[num_ranks]

    return get


def resume(num_ranks, work_dir, whole):
    """Resume a run, and compare its end with that of an uninterrupted one."""
    for code, output in train_in_forks(num_ranks, work_dir, '--resume'):
        assert code == 0, output[-2000:]
    assert_same(read_state(work_dir), whole(num_ranks))


# An epoch has 3 iterations on 2 ranks, and 2 on 3 ranks.
@pytest.mark.parametrize(
    ('num_ranks', 'moment', 'iteration', 'rank', 'number'),
    [
        (2, 'iteration', 1, 1, TERM),
        pytest.param(2, 'validation', 3, 1, TERM, marks=pytest.mark.long),
        pytest.param(2, 'saving', 3, 0, TERM, marks=pytest.mark.release),
        pytest.param(3, 'iteration', 1, 2, USR1, marks=pytest.mark.long),
        pytest.param(3, 'validation', 2, 2, TERM, marks=pytest.mark.release),
    ],
)
def test_ranks_that_get_a_signal_end_together_and_lose_nothing(
    num_ranks, moment, iteration, rank, number, whole, tmp_path
):
    work_dir = tmp_path / 'run'
    events = [[moment, iteration, rank, number, 'rank']]
    ended = train_in_forks(num_ranks, work_dir, events=events)
    for code, output in ended:
        assert code == PREEMPTED, output[-2000:]
    said = ended[0][1]
    done = iteration + 1 if moment == 'iteration' else iteration
    assert f'interrupted after iteration {done}; checkpoint: ' in said
    assert ('saving a checkpoint after this iteration' in said) == (moment != 'validation')
    resume(num_ranks, work_dir, whole)


@pytest.mark.parametrize('number', [TERM, USR1])
def test_a_signal_during_the_start_ends_a_rank_with_the_code_that_is_requeued(number, tmp_path):
    """Nothing is saved, and nothing is lost. SIGTERM ends it as the kernel does."""
    work_dir = tmp_path / 'run'
    events = [['start', 0, 0, number, 'rank']]
    ((code, output),) = train_in_forks(1, work_dir, events=events)
    assert code == (-TERM if number == TERM else PREEMPTED), output[-2000:]
    assert not list(tmp_path.rglob('*.pth'))


@pytest.mark.parametrize(
    ('num_ranks', 'moment', 'iteration', 'rank'),
    [
        (2, 'iteration', 2, 0),
        pytest.param(2, 'iteration', 4, 1, marks=pytest.mark.release),
        pytest.param(2, 'validation', 3, 1, marks=pytest.mark.release),
        pytest.param(2, 'saving', 6, 0, marks=pytest.mark.long),
        pytest.param(3, 'iteration', 3, 1, marks=pytest.mark.release),
    ],
)
def test_when_a_rank_is_killed_the_others_name_the_cause_and_the_run_resumes(
    num_ranks, moment, iteration, rank, whole, tmp_path
):
    work_dir = tmp_path / 'run'
    events = [[moment, iteration, rank, KILL, 'rank']]
    ended = train_in_forks(num_ranks, work_dir, events=events)
    assert ended[rank][0] == -KILL
    for code, output in ended[:rank] + ended[rank + 1 :]:
        assert code == 1
        assert 'because another rank has ended or hangs' in output, output[-2000:]
    with RunFolder(work_dir).lock():
        pass
    resume(num_ranks, work_dir, whole)


@pytest.mark.long
@pytest.mark.parametrize(
    ('moment', 'iteration'),
    [('iteration', 1), pytest.param('validation', 3, marks=pytest.mark.release)],
)
def test_when_a_rank_hangs_the_other_ends_after_the_timeout(moment, iteration, tmp_path):
    events = [[moment, iteration, 1, STOP, 'itself']]
    ended = train_in_forks(2, tmp_path / 'run', events=events, settings=SHORT)
    assert ended[0][0] == 1
    assert TIMED_OUT.search(ended[0][1]), ended[0][1][-2000:]
    assert ended[1][0] == -KILL  # by the hook, later


@pytest.mark.long
def test_torchrun_restarts_killed_ranks_which_resume(whole, tmp_path):
    """One is killed in an iteration, one in the validation, and rank 0 while it saves. Their data
    workers hold batches that do not fit into a pipe, and end with them, or the work dir would be
    locked.
    """
    work_dir = tmp_path / 'run'
    events = [
        ['iteration', 1, 0, KILL, 'rank'],
        ['validation', 3, 1, KILL, 'rank'],
        ['saving', 6, 0, KILL, 'rank'],
    ]
    code, output = train_with_torchrun(
        2,
        work_dir,
        '--resume',
        events=events,
        settings=['train_dataloader.num_workers=2'],
        MAX_RESTARTS='3',
    )
    assert code == 0, output[-3000:]
    assert_same(read_state(work_dir), whole(2))


@pytest.mark.long
def test_a_signal_at_torchrun_ends_all_ranks_with_one_checkpoint(whole, tmp_path):
    work_dir = tmp_path / 'run'
    events = [['iteration', 1, 0, USR1, 'torchrun']]
    code, output = train_with_torchrun(2, work_dir, events=events)
    assert code == PREEMPTED, output[-3000:]
    assert [path.name for path in work_dir.glob('*.pth')] != []
    resume(2, work_dir, whole)


@pytest.mark.long
def test_torchrun_ends_with_the_code_of_a_killed_rank_and_names_it(tmp_path):
    events = [['iteration', 1, 1, KILL, 'rank']]
    code, output = train_with_torchrun(2, tmp_path / 'run', events=events)
    assert code == 128 + KILL, output[-3000:]
    assert 'exitcode  : -9' in output


def test_a_port_that_is_in_use_stops_torchrun(tmp_path):
    with socket.socket() as used:
        used.bind(('', 0))
        used.listen()
        port = str(used.getsockname()[1])
        code, output = train_with_torchrun(2, tmp_path / 'run', PORT=port)
    assert (code, 'EADDRINUSE' in output) == (1, True), output[-2000:]


def test_restarts_without_resume_are_rejected(tmp_path):
    code, output = train_with_torchrun(2, tmp_path / 'run', MAX_RESTARTS='1')
    assert (code, 'needs --resume' in output) == (2, True)
