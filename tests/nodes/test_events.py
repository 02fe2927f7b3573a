"""What ranks do when one of them, or all, get a signal: what they say, what is lost, and that the
resumed run ends in the state of an uninterrupted one, bit for bit.

Modules: `mmgcvit/engine`, `mmgcvit/engine/interrupts.py`.
"""

import re
import socket

import pytest

from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.runs.folder import RunFolder

from ..engine.random_training import assert_same
from ..programs import ROOT
from .ranks import read_state, train_in_forks, train_with_torchrun
from .table import CASES, KILL, PREEMPTED, TERM, USR1


def resume(num_ranks, work_dir, whole):
    """Resume a run, and compare its end with that of an uninterrupted one."""
    for code, output in train_in_forks(num_ranks, work_dir, '--resume'):
        assert code == 0, output[-2000:]
    assert_same(read_state(work_dir), whole(num_ranks))


@pytest.mark.parametrize(
    'case',
    [pytest.param(case, id=case.name, marks=getattr(pytest.mark, case.mark)) for case in CASES],
)
def test_row(case, whole, tmp_path):
    """All ranks end, with the cause, and lose nothing that was saved."""
    work_dir = tmp_path / 'run'
    events = [[case.moment, case.iteration, rank, case.event, 'rank'] for rank in case.ranks]
    num_ranks = len(case.codes)
    ended = train_in_forks(
        num_ranks, work_dir, events=events, settings=case.settings, has_nodes=case.has_nodes
    )
    assert [code for code, _ in ended] == [*case.codes], [text[-1500:] for _, text in ended]
    for (_, text), pattern in zip(ended, case.says, strict=True):
        assert re.search(pattern, text), text[-2000:]
    check_left(work_dir, case)
    resume(num_ranks, work_dir, whole)


def check_left(work_dir, case):
    """Require that the work dir is not locked, and has only whole checkpoints."""
    with RunFolder(work_dir).lock():
        pass
    iterations = [read_checkpoint(str(path))['meta']['iter'] for path in work_dir.glob('*.pth')]
    if case.is_saved:
        assert case.iteration + (case.moment == 'iteration') in iterations
    if case.moment == 'start':
        assert iterations == []


@pytest.mark.long
def test_a_run_resumes_on_another_number_of_ranks(tmp_path):
    """Its epoch starts again, and the log says why."""
    work_dir = tmp_path / 'run'
    train_in_forks(2, work_dir, events=[['iteration', 4, 0, TERM, 'rank']])
    ended = train_in_forks(3, work_dir, '--resume')
    assert [code for code, _ in ended] == [0, 0, 0], [text[-1500:] for _, text in ended]
    assert 'epoch 2 starts at iteration 2, because settings have changed: ' in ended[0][1]
    assert 'processes 2 -> 3' in ended[0][1]
    assert (work_dir / 'epoch_2.pth').exists()


def test_rows_are_those_of_the_page():
    """Each row of docs/launching.md has cases, or one of the two tests here, and no case is in no
    row.
    """
    page = (ROOT / 'docs' / 'launching.md').read_text()
    named = re.findall(r'^\| `(\w+)` \|', page, re.MULTILINE)
    assert sorted(named) == sorted({*(case.row for case in CASES), 'port', 'number'})


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


@pytest.mark.slow
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
