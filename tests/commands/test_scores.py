"""Scores are read from what a run has logged, whatever has ended it."""

from mmgcvit.visualization.curves import latest_entry

from ..visualization.curves.written import iteration, validation, write_session


def test_a_line_that_a_killed_run_left_unfinished_is_passed_over(tmp_path):
    write_session(tmp_path, '20260101_000000', [iteration(1), validation(1, acc=0.5)], end='\n{"lr": 1e-4, "lo')
    assert latest_entry(tmp_path, 'acc') == {'acc': 0.5, 'data_time': 0.1, 'time': 0.2, 'step': 1}
