"""What a row changes is read off its config, and put on another one."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from mmgcvit.experiments.ablation.changes import change_of, difference, onto, write_config
from mmgcvit.experiments.ablation.tables import Row, Table, TableError

WHOLE = {
    'model': {'type': 'A', 'arch': {'width': 8, 'shifts': ((0, 0), (0, 1))}, 'head': {'channels': 8}},
    'hooks': [1],
}
LEAVES = st.one_of(st.integers(0, 3), st.none(), st.lists(st.integers(0, 1), max_size=2))
NAMES = st.sampled_from('abc')
DICTS = st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)
CONFIGS = st.dictionaries(NAMES, DICTS, max_size=3)


def inherited(change, base):
    """A config that inherits a change over another one, as mmengine has it."""
    return Config._merge_a_into_b(onto(change, base), base)


@given(CONFIGS, CONFIGS)
def test_a_difference_inherited_over_the_other_config_is_the_config(config, other):
    """But for keys at the top that only the other has, which a config cannot take away."""
    expected = {**{key: value for key, value in other.items() if key not in config}, **config}
    assert inherited(difference(config, other), other) == expected


def test_of_two_configs_only_what_differs_is_named():
    config = {**WHOLE, 'model': {**WHOLE['model'], 'arch': {'width': 8, 'shifts': None}}}
    assert difference(config, WHOLE) == {'model': {'arch': {'shifts': None}}}
    assert difference(WHOLE, WHOLE) == {}


def test_a_variant_written_out_replaces_its_name():
    named = {'model': {'arch': 'tiny'}}
    assert difference(WHOLE, named)['model']['arch'] == {'_delete_': True, **WHOLE['model']['arch']}


@pytest.fixture
def table(tmp_path):
    """A table of one row, whose configs are written by the test."""
    row = Row('a', 'A other', tmp_path / 'a.py')
    return Table('made', 'A table', ('top-1',), tmp_path / 'whole.py', (row,))


def written(path, **settings):
    path.write_text('\n'.join(f'{name} = {value!r}' for name, value in settings.items()))


def test_variables_of_a_file_are_no_change(table, tmp_path):
    written(tmp_path / 'whole.py', shifts=(0, 1), model={'shifts': (0, 1)})
    written(tmp_path / 'a.py', shifts=(0, 2), model={'shifts': (0, 2)})
    assert change_of(table.rows[0], table, at_digits=False) == {'model': {'shifts': (0, 2)}}


def test_a_row_that_changes_the_schedule_is_not_put_on_other_data(table, tmp_path):
    written(tmp_path / 'whole.py', model={}, train_dataloader={'batch_size': 128})
    written(tmp_path / 'a.py', model={}, train_dataloader={'batch_size': 64})
    with pytest.raises(TableError, match=r'row a changes train_dataloader, .* --data own'):
        change_of(table.rows[0], table, at_digits=False)


def test_sizes_at_the_demos_scale_are_those_of_the_table(table, tmp_path):
    for name in ('whole.py', 'a.py'):
        written(tmp_path / name, model={'width': len(name)})
    row = Row('a', 'A other', tmp_path / 'a.py', at_digits={'model': {'width': 2}})
    assert change_of(row, table, at_digits=True) == {'model': {'width': 2}}
    assert change_of(row, table, at_digits=False) == {'model': {'width': 4}}


def test_attributes_of_a_variant_that_is_only_named_cannot_be_changed():
    change = {'model': {'arch': {'shifts': None}}}
    with pytest.raises(TableError, match=r"on x: model\.arch is 'tiny', of which shifts cannot be changed"):
        onto(change, {'model': {'arch': 'tiny'}}, 'on x: ')
    assert onto(change, {'model': {'arch': {'shifts': 1}}}) == change


@pytest.mark.parametrize('base', [{}, {'model': {}}, {'model': {'arch': 'tiny'}}, {'model': {'arch': {'depth': 3}}}])
def test_a_variant_written_out_can_be_put_on_any_config(base):
    change = difference({'model': {'arch': {'width': 8}}}, {'model': {'arch': 'tiny'}})
    assert inherited(change, base) == {'model': {'arch': {'width': 8}}}


@pytest.mark.parametrize('name', ['"""quotes', 'with \\', "with '", 'two\nlines'])
def test_a_written_config_has_the_change_and_all_else_of_the_other(name, tmp_path):
    written(tmp_path / 'small.py', model={'arch': {'width': 2, 'shifts': 1}}, lr=0.1)
    path = tmp_path / 'folder' / 'a.py'
    path.parent.mkdir()
    write_config(path, Row('a', name, Path('a.py')), {'model': {'arch': {'shifts': None}}}, tmp_path / 'small.py')
    assert Config.fromfile(path).to_dict() == {'model': {'arch': {'width': 2, 'shifts': None}}, 'lr': 0.1}
