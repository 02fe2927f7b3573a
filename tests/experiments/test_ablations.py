"""Ablation tables are read, applied to other configs, and reported with mean, deviation and published scores."""

import json
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from mmgcvit.errors import UserError
from mmgcvit.experiments.ablations import (
    Row,
    Table,
    format_report,
    read_changes,
    read_scores,
    read_tables,
    write_configs,
)


def test_table_has_its_rows_in_order_and_paths_in_the_config_folder(tmp_path):
    rows = {
        'a': {'name': 'A other', 'config': 'ablations/a.py', 'published': [40, 36.5]},
        'b': {'name': 'nothing', 'at_digits': {'model': {'depth': 1}}},
    }
    entries = {'title': 'One', 'metrics': ['box AP'], 'baseline': 'whole.py', 'digits': 'small.py', 'rows': rows}
    path = tmp_path / 'ablations' / 'tables.yml'
    path.parent.mkdir()
    path.write_text(yaml.safe_dump({'one': entries}, sort_keys=False))
    table = read_tables(path)['one']
    assert (table.baseline, table.digits) == (tmp_path / 'whole.py', tmp_path / 'small.py')
    assert list(table.rows) == [
        Row('a', 'A other', tmp_path / 'ablations' / 'a.py', [40, 36.5]),
        Row('b', 'nothing', tmp_path / 'whole.py', at_digits={'model': {'depth': 1}}),
    ]


def written(path, **settings):
    path.write_text('\n'.join(f'{name} = {value!r}' for name, value in settings.items()))
    return path


@pytest.fixture
def table(tmp_path):
    """Return a table of one row, at full scale and on digits."""
    written(tmp_path / 'whole.py', sizes=(0, 1), model={'kind': 'A', 'sizes': (0, 1)})
    config = written(tmp_path / 'a.py', _base_='whole.py', sizes=(0, 2), model={'kind': 'B'})
    digits = written(tmp_path / 'digits.py', model={'kind': 'A', 'width': 2}, lr=0.1)
    return Table('made', 'A table', ['top-1'], tmp_path / 'whole.py', (Row('a', "row '\\", config),), digits)


def test_row_uses_its_own_config_or_applies_its_changes_to_another(table, tmp_path):
    """Variables of the files are not changes."""
    assert write_configs(table, 'own', tmp_path / 'out') == {'a': tmp_path / 'a.py'}
    for data in ('digits', str(tmp_path / 'digits.py')):
        (path,) = write_configs(table, data, tmp_path / 'out').values()
        assert Config.fromfile(path).to_dict() == {'model': {'kind': 'B', 'width': 2}, 'lr': 0.1}


def test_unsupported_data_and_changes_are_rejected(table, tmp_path):
    for changed, data, words in (
        ({'digits': None}, 'digits', 'table made does not support --data digits. Use --data own or CONFIG'),
        ({'baseline': None}, 'own', 'table made does not support --data own. Use --data digits'),
    ):
        with pytest.raises(UserError, match=words):
            write_configs(Table(**{**vars(table), **changed}), data, tmp_path)
    for settings in ({'_base_': 'whole.py', 'train_dataloader': {}}, {'_base_': 'digits.py', 'model': {}}):
        written(tmp_path / 'a.py', **settings)
        with pytest.raises(
            UserError, match=r'row a (changes train_dataloader|inherits from digits.py, not .*), so .* Use --data own'
        ):
            read_changes(table.rows[0], table)


def test_scores_are_of_the_last_validation_in_the_units_of_papers(tmp_path):
    for name, scores in (('20260101_000000', [0.3]), ('20260102_000000', [0.4, 0.44])):
        log = tmp_path / name / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True)
        lines = [json.dumps({'coco/bbox_mAP': score, 'step': step}) for step, score in enumerate(scores)]
        log.write_text('\n'.join([*lines, json.dumps({'loss': 1.0, 'step': 9})]))
    assert read_scores(tmp_path, ['box AP']) == pytest.approx({'box AP': 44})
    with pytest.raises(UserError, match='no log with mIoU'):
        read_scores(tmp_path, ['mIoU'])


def test_report_has_mean_and_sample_standard_deviation_beside_published_scores():
    """The sample standard deviation of 2, 4 and 6 is 2; divided by n instead of n - 1 it would be 1.63."""
    rows = [Row('a', 'row a', Path('a.py'), [44.0]), Row('b', 'row b', Path('b.py'))]
    table = Table('made', 'A table', ['top-1'], Path('whole.py'), rows)
    report = format_report(table, {'a': [{'top-1': value} for value in (2, 4, 6)], 'b': []}, 'A note.')
    assert '| row | seeds | top-1 | top-1, published |\n' in report
    assert '| row a | 3 | 4.00 ± 2.00 | 44 |\n| row b | 0 |  |  |\n' in report
    assert '| row a | 1 | 4.00 | 44 |' in format_report(table, {'a': [{'top-1': 4}], 'b': []}, '')
    assert report.endswith('\n\nA note.\n')
