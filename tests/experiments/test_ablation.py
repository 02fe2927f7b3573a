"""Tables of ablations: read, put on other configs, trained in an order that loses one training at most, reported."""

from pathlib import Path

import cv2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from mmgcvit.errors import UserError
from mmgcvit.experiments.ablations import (
    BEGUN,
    FINISHED,
    Result,
    Row,
    Summary,
    Table,
    change_of,
    check_same,
    difference,
    draw,
    is_used,
    markdown,
    onto,
    read_tables,
    remove_runs,
    result_of,
    runs_of,
    scores_of,
    seconds_left,
    summary,
    write_config,
)

from .made import finish, made_table

CONTENT = {
    'one': {
        'title': 'Of one thing',
        'metrics': ['box AP', 'mask AP'],
        'unchanged': 'whole.py',
        'digits': 'small.py',
        'rows': {
            'a': {'name': 'A other', 'config': 'ablations/a.py', 'published': [40, 36.5]},
            'b': {'name': 'B sizes', 'config': 'ablations/a.py', 'at_digits': {'model': {'depth': 1}}},
            'c': {'name': 'nothing'},
        },
    }
}


def test_a_table_has_its_rows_in_order_and_paths_below_the_configs(tmp_path):
    path = tmp_path / 'ablations' / 'tables.yml'
    with pytest.raises(UserError, match='there are no tables'):
        read_tables(path)
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(CONTENT, sort_keys=False))
    table = read_tables(path)['one']
    assert (table.title, table.metrics, table.digits) == ('Of one thing', ['box AP', 'mask AP'], tmp_path / 'small.py')
    assert [row.key for row in table.rows] == ['a', 'b', 'c']
    first, second, third = table.rows
    assert (first.published, first.config) == ([40, 36.5], tmp_path / 'ablations' / 'a.py')
    assert second.at_digits == {'model': {'depth': 1}}
    assert (third.published, third.config) == (None, tmp_path / 'whole.py'), 'the unchanged one'


LEAVES = st.one_of(st.integers(0, 3), st.none(), st.lists(st.integers(0, 1), max_size=2))
NAMES = st.sampled_from('abc')
DICTS = st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)
CONFIGS = st.dictionaries(NAMES, DICTS, max_size=3)


@given(CONFIGS, CONFIGS)
def test_a_difference_inherited_over_the_other_config_is_the_config(config, other):
    """As mmengine inherits; but for keys at the top that only the other has, which a config cannot take away."""
    expected = {**{key: value for key, value in other.items() if key not in config}, **config}
    assert Config._merge_a_into_b(onto(difference(config, other), other), other) == expected


def test_of_two_configs_only_what_differs_is_named():
    whole = {'model': {'type': 'A', 'arch': {'width': 8, 'shifts': ((0, 0), (0, 1))}}, 'hooks': [1]}
    config = {**whole, 'model': {**whole['model'], 'arch': {'width': 8, 'shifts': None}}}
    assert difference(config, whole) == {'model': {'arch': {'shifts': None}}}
    assert difference(whole, {'model': {'arch': 'tiny'}})['model']['arch'] == {
        '_delete_': True,
        **whole['model']['arch'],
    }


def written(path, **settings):
    path.write_text('\n'.join(f'{name} = {value!r}' for name, value in settings.items()))


def test_a_change_is_read_off_a_rows_own_config_unless_it_is_of_the_schedule(tmp_path):
    """Variables of the files are none; sizes at the demo's scale are those of the table."""
    row = Row('a', 'A other', tmp_path / 'a.py', at_digits={'model': {'shifts': 1}})
    table = Table('made', 'A table', ('top-1',), tmp_path / 'whole.py', (row,))
    written(tmp_path / 'whole.py', shifts=(0, 1), model={'shifts': (0, 1)})
    written(tmp_path / 'a.py', shifts=(0, 2), model={'shifts': (0, 2)})
    assert change_of(row, table, at_digits=False) == {'model': {'shifts': (0, 2)}}
    assert change_of(row, table, at_digits=True) == {'model': {'shifts': 1}}
    written(tmp_path / 'a.py', model={}, train_dataloader={'batch_size': 64})
    with pytest.raises(UserError, match=r'row a changes train_dataloader, .* --data own'):
        change_of(row, table, at_digits=False)


def test_rows_of_a_table_of_digits_alone_change_what_the_table_says(tmp_path):
    rows = (Row('a', 'A other', None, at_digits={'model': {'shifts': 1}}), Row('b', 'nothing', None))
    table = Table('made', 'A table', ('top-1',), None, rows, tmp_path / 'small.py')
    assert [change_of(row, table, at_digits=True) for row in rows] == [{'model': {'shifts': 1}}, {}]


def test_attributes_of_a_variant_that_is_only_named_cannot_be_changed():
    change = {'model': {'arch': {'shifts': None}}}
    with pytest.raises(UserError, match=r"on x: model\.arch is 'tiny', of which shifts cannot be changed"):
        onto(change, {'model': {'arch': 'tiny'}}, 'on x: ')
    assert onto(change, {'model': {'arch': {'shifts': 1}}}) == change


def test_a_written_config_has_the_change_and_all_else_of_the_other(tmp_path):
    written(tmp_path / 'small.py', model={'arch': {'width': 2, 'shifts': 1}}, lr=0.1)
    path = tmp_path / 'a.py'
    for name in ('"""quotes', 'with \\', "with '", 'two\nlines'):
        write_config(path, Row('a', name, Path('a.py')), {'model': {'arch': {'shifts': None}}}, tmp_path / 'small.py')
        assert Config.fromfile(path).to_dict() == {'model': {'arch': {'width': 2, 'shifts': None}}, 'lr': 0.1}


def test_the_order_is_seed_by_seed_over_all_rows_also_with_more_seeds(tmp_path):
    """So that a table is complete after each seed."""
    table = made_table('a', 'b')
    runs = runs_of(table, 2, tmp_path)
    assert [(run.seed, run.row.key) for run in runs] == [(0, 'a'), (0, 'b'), (1, 'a'), (1, 'b')]
    assert len({run.folder for run in runs}) == 4
    assert runs_of(table, 3, tmp_path)[:4] == runs


def test_a_training_is_finished_once_it_is_noted_as_a_whole(tmp_path):
    (run,) = runs_of(made_table('a'), 1, tmp_path)
    assert result_of(run) is None
    run.folder.mkdir(parents=True)
    (run.folder / f'{FINISHED}.unfinished').write_text('{"sco')
    assert result_of(run) is None
    finish(run, 90.5, seconds=3)
    assert result_of(run) == Result({'top-1': 90.5}, 3)


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


def test_a_folder_is_used_until_its_trainings_are_removed_and_only_they_are(tmp_path):
    assert not is_used(tmp_path)
    (run,) = runs_of(made_table('a'), 1, tmp_path)
    finish(run, 90)
    (tmp_path / 'seed_bank').mkdir()
    assert is_used(tmp_path)
    with pytest.raises(UserError, match='seed_0 is of no table'):
        remove_runs(tmp_path)
    check_same(tmp_path, {'a': '1'})
    remove_runs(tmp_path)
    assert not is_used(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['seed_bank']


def test_a_table_goes_on_with_the_configs_that_it_was_begun_with(tmp_path):
    check_same(tmp_path, {'a': '1', 'b': '2'})
    assert is_used(tmp_path)
    check_same(tmp_path, {'a': '1', 'b': '2'})
    before = (tmp_path / BEGUN).read_text()
    for digests, named in (({'a': '1', 'b': '3'}, r'\(b\)'), ({'a': '1'}, 'other rows'), ({'c': '1'}, 'other rows')):
        with pytest.raises(UserError, match=named):
            check_same(tmp_path, digests)
        assert (tmp_path / BEGUN).read_text() == before


def test_the_deviation_is_that_of_a_sample():
    """2, 4 and 6 deviate by 2; divided by n instead of n - 1 it were 1.63."""
    assert summary([2.0, 4.0, 6.0]) == Summary(4, 2)
    assert str(summary([2.0, 4.0, 6.0])) == '4.00 ± 2.00'
    assert str(summary([90.125])) == '90.12', 'a single one has none'
    assert summary([]) is None


@pytest.fixture
def half_done(tmp_path):
    """A table of three rows whose second seed is not complete, with published scores, and its scores."""
    table = made_table('a', 'b', 'c', metrics=('box AP', 'mask AP'), published=(44.0, 40.25))
    runs = runs_of(table, 2, tmp_path)
    for run, score in zip((runs[0], runs[1], runs[3]), (1.0, 5.0, 3.0), strict=True):
        finish(run, score, score + 10, metrics=table.metrics)
    return table, scores_of(table, runs)


def test_the_table_has_a_line_a_row_with_seeds_and_published_scores(half_done):
    text = markdown(*half_done, note='A note.')
    assert '| row | seeds | box AP | box AP, published | mask AP | mask AP, published |\n' in text
    assert '| row a | 2 | 2.00 ± 1.41 | 44 | 12.00 ± 1.41 | 40.25 |\n' in text
    assert '| row b | 1 | 5.00 | 44 | 15.00 | 40.25 |\n' in text
    assert '| row c | 0 |  | 44 |  | 40.25 |\n' in text
    assert text.endswith('\n\nA note.\n')
    table = made_table('unpublished')
    assert '| row unpublished | 0 |  |\n' in markdown(table, scores_of(table, []), '')


def test_the_plot_has_a_panel_for_what_is_not_of_the_same_scale(half_done, tmp_path):
    for same_scale, least in ((True, 1000), (False, 1600)):
        draw(tmp_path / 'table.png', *half_done, same_scale)
        height, width = cv2.imread(str(tmp_path / 'table.png')).shape[:2]
        assert width > least
        assert height > 200
