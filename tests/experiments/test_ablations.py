"""Rows of ablation tables are applied to other configs, and their scores are read."""

import json

import pytest
from mmengine.config import Config

from mmgcvit.errors import UserError
from mmgcvit.experiments.ablations import Row, Table, read_changes, read_scores, write_configs


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
