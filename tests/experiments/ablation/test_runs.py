"""Trainings in an order that loses one at most, what is finished, and how long the rest takes."""

import pytest

from mmgcvit.experiments.ablation.runs import (
    BEGUN,
    FINISHED,
    Result,
    check_same,
    is_used,
    remove_runs,
    result_of,
    runs_of,
    seconds_left,
)
from mmgcvit.experiments.ablation.tables import TableError

from .made import finish, made_table


def test_the_order_is_seed_by_seed_over_all_rows(tmp_path):
    """So that a table is complete after each seed."""
    runs = runs_of(made_table('a', 'b'), 2, tmp_path)
    assert [(run.seed, run.row.key) for run in runs] == [(0, 'a'), (0, 'b'), (1, 'a'), (1, 'b')]
    assert len({run.folder for run in runs}) == 4


def test_more_seeds_take_the_folders_of_the_first(tmp_path):
    table = made_table('a', 'b')
    assert runs_of(table, 3, tmp_path)[:4] == runs_of(table, 2, tmp_path)


def test_a_training_is_finished_once_it_is_noted(tmp_path):
    (run,) = runs_of(made_table('a'), 1, tmp_path)
    assert result_of(run) is None
    finish(run, 90.5, seconds=3)
    assert result_of(run) == Result({'top-1': 90.5}, 3)


def test_a_note_that_was_being_written_is_none(tmp_path):
    (run,) = runs_of(made_table('a'), 1, tmp_path)
    run.folder.mkdir(parents=True)
    (run.folder / f'{FINISHED}.unfinished').write_text('{"sco')
    assert result_of(run) is None


def test_the_time_left_is_that_of_the_same_rows_or_of_the_mean(tmp_path):
    runs = runs_of(made_table('a', 'b', 'c'), 2, tmp_path)
    assert seconds_left(runs) is None
    finish(runs[0], 90, seconds=10)
    assert seconds_left(runs) == 5 * 10
    finish(runs[1], 90, seconds=30)
    assert seconds_left(runs) == (10 + 30) + 2 * 20
    for run in runs[2:]:
        finish(run, 90)
    assert seconds_left(runs) == 0


def test_a_folder_is_used_from_the_first_training_on_until_they_are_removed(tmp_path):
    assert not is_used(tmp_path / 'nowhere')
    assert not is_used(tmp_path)
    (run,) = runs_of(made_table('a'), 1, tmp_path)
    check_same(tmp_path, {'a': '1'})
    finish(run, 90)
    (tmp_path / 'notes.txt').touch()
    assert is_used(tmp_path)
    remove_runs(tmp_path)
    assert not is_used(tmp_path)
    assert (tmp_path / 'notes.txt').exists()


def test_a_table_goes_on_with_the_configs_that_it_was_begun_with(tmp_path):
    check_same(tmp_path, {'a': '1', 'b': '2'})
    assert is_used(tmp_path)
    check_same(tmp_path, {'a': '1', 'b': '2'})


@pytest.mark.parametrize(
    ('digests', 'named'), [({'a': '1', 'b': '3'}, r'\(b\)'), ({'a': '1'}, 'other rows'), ({'c': '1'}, 'other rows')]
)
def test_a_table_does_not_go_on_with_other_configs(digests, named, tmp_path):
    check_same(tmp_path, {'a': '1', 'b': '2'})
    before = (tmp_path / BEGUN).read_text()
    with pytest.raises(TableError, match=named):
        check_same(tmp_path, digests)
    assert (tmp_path / BEGUN).read_text() == before


def test_only_folders_of_a_table_are_removed(tmp_path):
    """Not what merely begins with the same letters, and nothing where no table was begun."""
    for name in ('seed_0', 'seed_bank'):
        (tmp_path / name).mkdir()
    with pytest.raises(TableError, match='seed_0 is of no table'):
        remove_runs(tmp_path)
    (tmp_path / BEGUN).write_text('{}')
    remove_runs(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['seed_bank']
