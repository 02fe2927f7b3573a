"""Tables are read as they are written, and what is wrong with one is said."""

from copy import deepcopy

import pytest
import yaml

from mmgcvit.experiments.ablation.tables import TableError, read_tables

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


@pytest.fixture
def content():
    return deepcopy(CONTENT)


@pytest.fixture
def read(tmp_path):
    """Reads tables that stand where the project's do, beside configs of these names."""
    (tmp_path / 'ablations').mkdir()
    for name in ('whole.py', 'small.py', 'ablations/a.py'):
        (tmp_path / name).touch()

    def read(content):
        (tmp_path / 'ablations' / 'tables.yml').write_text(yaml.safe_dump(content, sort_keys=False))
        return read_tables(tmp_path / 'ablations' / 'tables.yml')

    return read


def test_a_table_has_its_rows_in_order_and_paths_below_the_configs(read, content, tmp_path):
    table = read(content)['one']
    assert (table.title, table.metrics, table.digits) == ('Of one thing', ('box AP', 'mask AP'), tmp_path / 'small.py')
    assert [row.key for row in table.rows] == ['a', 'b', 'c']
    assert table.rows[0].published == (40.0, 36.5)
    assert table.rows[0].config == tmp_path / 'ablations' / 'a.py'
    assert table.rows[1].at_digits == {'model': {'depth': 1}}


def test_a_row_without_a_config_is_the_unchanged_one(read, content, tmp_path):
    assert read(content)['one'].rows[2].config == tmp_path / 'whole.py'
    assert read(content)['one'].rows[2].published is None


WRONG = {
    'no title': (lambda table: table.pop('title'), 'title is None; expected a str'),
    'unknown entry of a table': (lambda table: table.update(seeds=3), 'unknown seeds; known: digits'),
    'unknown entry of a row': (lambda table: table['rows']['a'].update(score=3), 'row a: unknown score'),
    'unknown metric': (lambda table: table.update(metrics=['AUC']), r"expected some of \['top-1'"),
    'no metric': (lambda table: table.update(metrics=[]), 'expected some of'),
    'one score for two metrics': (lambda table: table['rows']['a'].update(published=[40]), 'expected 2, one for each'),
    'no such config': (lambda table: table['rows']['a'].update(config='b.py'), 'there is no config .*b.py'),
    'rows in a list': (lambda table: table.update(rows=['a']), 'expected a dict'),
    'a row without entries': (lambda table: table['rows'].update(a='A other'), 'expected entries NAME: VALUE'),
}


@pytest.mark.parametrize('what', WRONG)
def test_what_is_wrong_with_a_table_is_said(what, read, content):
    change, message = WRONG[what]
    change(content['one'])
    with pytest.raises(TableError, match=message):
        read(content)


def test_without_ablations_there_are_no_tables(tmp_path):
    with pytest.raises(TableError, match='there are no tables'):
        read_tables(tmp_path / 'ablations' / 'tables.yml')
