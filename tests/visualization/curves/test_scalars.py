"""What a run has logged is read as one, over all sessions in which it was trained."""

import math

import pytest

from mmgcvit.visualization.curves import read_run

from .written import iteration, validation, write_session


def test_losses_go_by_iterations_and_scores_by_epochs(tmp_path):
    entries = [iteration(10, 3.0), iteration(20, 2.0), validation(1, acc=0.5), iteration(30, 1.0, epoch=2)]
    run = read_run(write_session(tmp_path / 'run', '20260101_000000', entries))
    assert run.name == 'run'
    assert run.training['loss'].points == {10: 3.0, 20: 2.0, 30: 1.0}
    assert set(run.scores) == {'acc'}
    assert run.scores['acc'].points == {1: 0.5}
    assert (run.iterations, run.epochs, run.scores_by) == (30, 2, 'epoch')


def test_scores_of_runs_by_iterations_go_by_iterations(tmp_path):
    entries = [iteration(500), validation(500, mIoU=40.0), iteration(1000), validation(1000, mIoU=41.0)]
    assert read_run(write_session(tmp_path, '20260101_000000', entries)).scores_by == 'iteration'


def test_a_resumed_session_replaces_what_was_lost_of_the_one_before(tmp_path):
    """Iterations and validations after the checkpoint were trained twice: the second time counts."""
    first = [iteration(10, 3.0), validation(1, acc=0.1), iteration(20, 2.0), iteration(30, 9.0), validation(2, acc=0.9)]
    write_session(tmp_path, '20260101_000000', first)
    write_session(tmp_path, '20260102_000000', [iteration(20, 2.5), validation(2, acc=0.2)])
    run = read_run(tmp_path)
    assert run.training['loss'].points == {10: 3.0, 20: 2.5}
    assert run.scores['acc'].points == {1: 0.1, 2: 0.2}


def test_a_line_that_a_killed_run_left_unfinished_is_passed_over(tmp_path):
    run = read_run(write_session(tmp_path, '20260101_000000', [iteration(10)], end='\n{"lr": 0.1, "los'))
    assert run.iterations == 10


def test_values_that_are_not_finite_are_kept_apart(tmp_path):
    run = read_run(write_session(tmp_path, '20260101_000000', [iteration(10, math.nan), iteration(20, 2.0)]))
    assert run.training['loss'].finite == {20: 2.0}
    assert run.training['loss'].steps == [10, 20]


@pytest.mark.parametrize(
    ('folder', 'says'),
    [
        ('nowhere', 'there is no folder'),
        ('empty', 'its training has logged nothing yet'),
        ('.', 'it holds the runs a, b'),
    ],
)
def test_a_folder_without_a_run_is_refused_with_what_to_do(tmp_path, folder, says):
    (tmp_path / 'empty').mkdir()
    for name in 'ab':
        write_session(tmp_path / name, '20260101_000000', [iteration(10)])
    with pytest.raises(match=says):
        read_run(tmp_path / folder)
