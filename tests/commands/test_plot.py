"""``mmgcvit plot`` says how runs stand, and draws their curves into the first one's folder."""

import math

import pytest

from mmgcvit.commands.main import run_command

from ..visualization.conftest import iteration, validation, write_session


def test_the_best_score_is_named_with_its_epoch(tmp_path, capsys):
    entries = [iteration(1), validation(1, acc=0.9), iteration(2, math.nan, epoch=2), validation(2, acc=0.8)]
    run_command('plot', [write_session(tmp_path / 'run', '20260101_000000', entries)])
    said = capsys.readouterr().out
    assert 'run: 2 iterations, 2 epochs' in said
    assert 'acc 0.8; best 0.9 (epoch 1)' in said
    assert '1 of 2 losses are not finite' in said
    assert (tmp_path / 'run' / 'curves.png').is_file()


def test_runs_of_one_name_are_told_apart(tmp_path, capsys):
    folders = [write_session(tmp_path / part / 'run', '20260101_000000', [iteration(1)]) for part in 'ab']
    run_command('plot', [*folders, '--out', tmp_path / 'both.svg'])
    said = capsys.readouterr().out
    assert all(f'{folder}: 1 iterations' in said for folder in folders)
    assert all(str(folder) in (tmp_path / 'both.svg').read_text() for folder in folders)


def test_what_is_no_run_or_cannot_be_written_is_answered_in_a_sentence(tmp_path):
    with pytest.raises(SystemExit, match='is no work dir of a training'):
        run_command('plot', [tmp_path])
    run = write_session(tmp_path / 'run', '20260101_000000', [iteration(1)])
    (tmp_path / 'file').write_text('of somebody')
    with pytest.raises(SystemExit, match=r'file/curves\.png cannot be written \(.*\); name another file'):
        run_command('plot', [run, '--out', tmp_path / 'file' / 'curves.png'])
