"""The file that takes what a run prints."""

import pytest

from mmgcvit.commands.console_log import LINES_OF_A_FAILURE, last_lines, new_log, newest_log


@pytest.mark.parametrize(('rank', 'pattern'), [(0, 'console_????????_??????.log'), (3, 'console_*_rank3.log')])
def test_each_process_has_its_own(rank, pattern, tmp_path):
    log = new_log(tmp_path / 'not' / 'there', rank)
    assert log.is_file()
    assert log.match(pattern)


def test_the_newest_is_the_latest_runs(tmp_path):
    assert newest_log(tmp_path) is None
    for time in ('20260101_000000', '20260102_000000'):
        (tmp_path / f'console_{time}.log').touch()
    assert newest_log(tmp_path) == tmp_path / 'console_20260102_000000.log'


def test_of_a_failed_run_the_end_is_shown(tmp_path):
    log = tmp_path / 'console_20260101_000000.log'
    log.write_bytes('\n'.join(f'line {number}' for number in range(20)).encode() + b'\xff')
    first, *shown, last = last_lines(log).splitlines()
    assert first == 'the last lines of its log:'
    assert len(shown) == LINES_OF_A_FAILURE
    assert shown[0] == '  | line 5'
    assert shown[-1] == '  | line 19\N{REPLACEMENT CHARACTER}'
    assert last == f'whole log: {log}'
