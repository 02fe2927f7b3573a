"""The command's own part: what it refuses before it trains, in which order it trains, which score it takes."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmgcvit.commands import ablate
from mmgcvit.commands.ablate import PLOT, TABLE, begin, configs_of, is_validated, train_all
from mmgcvit.errors import UserError
from mmgcvit.experiments.ablations import Row, Table, runs_of

from ..experiments.made import finish, made_table


def arguments(table, work_dir, **given):
    options = {'seeds': 1, 'gpus': None, 'data': 'own', 'overwrite': False, 'resume': False, 'device': 'cpu'}
    return argparse.Namespace(**{**options, 'cfg_options': {}, 'table': table, 'work_dir': work_dir, **given})


@pytest.fixture
def table(tmp_path):
    """A table of one row, and a user's config beside it."""
    (tmp_path / 'whole.py').write_text('lr = 1.0\nmodel = dict(kind="A")')
    (tmp_path / 'a.py').write_text('lr = 1.0\nmodel = dict(kind="B")')
    (tmp_path / 'mine.py').write_text('lr = 0.5\nmodel = dict(kind="A", width=3)')
    return Table('made', 'A table', ('top-1',), tmp_path / 'whole.py', (Row('a', 'row a', tmp_path / 'a.py'),))


def test_what_cannot_be_trained_changes_nothing(table, tmp_path):
    """With numbers that make no sense, in a used folder without a word, with other configs than it was begun with."""
    work_dir = tmp_path / 'work'
    begin(arguments(table, work_dir))
    (run,) = runs_of(table, 1, work_dir)
    finish(run, 90)
    before = sorted(tmp_path.rglob('*'))
    again, mine = {'resume': True}, str(tmp_path / 'mine.py')
    for given, words in (
        ({'seeds': 0}, '--seeds 0: expected at least 1'),
        ({'gpus': -1}, '--gpus -1: expected at least 1'),
        ({'data': 'digit'}, '--data digit: expected digits, own or a config, and there is no such file'),
        ({}, r'trainings of an earlier call\. Go on with --resume, .* --overwrite'),
        ({**again, 'cfg_options': {'randomness.seed': 7}}, 'begun with other configs'),
        ({**again, 'gpus': 8}, 'begun with other configs'),
        ({**again, 'data': mine}, 'begun with other configs'),
        ({'overwrite': True, 'data': 'digits'}, 'made cannot be trained on digits; take --data own'),
    ):
        with pytest.raises(UserError, match=words):
            begin(arguments(table, work_dir, **given))
        assert sorted(tmp_path.rglob('*')) == before
    begin(arguments(table, work_dir, resume=True))
    assert run.folder.is_dir()
    begin(arguments(table, work_dir, overwrite=True))
    assert not run.folder.exists()


def test_each_row_has_its_own_config_or_puts_what_it_changes_on_a_users(table, tmp_path):
    assert configs_of(table, 'own', tmp_path) == {'a': tmp_path / 'a.py'}
    for data in ('own', str(tmp_path / 'mine.py')):
        with pytest.raises(UserError, match='made is of digits alone'):
            configs_of(replace(table, unchanged=None), data, tmp_path)
    (path,) = configs_of(table, str(tmp_path / 'mine.py'), tmp_path / 'configs').values()
    assert Config.fromfile(path).to_dict() == {'lr': 0.5, 'model': {'kind': 'B', 'width': 3}}


def test_a_score_is_taken_from_the_validation_of_the_last_checkpoint(tmp_path):
    """A training that was stopped before that validation is tested."""
    folder = tmp_path / '20260101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    first, second, loss = {'mIoU': 1.0, 'step': 1}, {'mIoU': 2.0, 'step': 2}, {'loss': 1.0, 'step': 2}
    for entries, validated in (([first, second], True), ([], False), ([first], False), ([loss], False)):
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, entries)))
        assert is_validated(tmp_path, 'mIoU') == validated


def test_the_table_is_whole_after_each_training_and_nothing_finished_is_trained_again(monkeypatch, tmp_path):
    order, failing = [], set()

    def train(run, args, configs):
        """Each ends with a score of 80 and its number, without being trained."""
        if (run.seed, run.row.key) in failing:
            raise SystemExit('failed')
        run.folder.mkdir(parents=True)
        order.append((run.seed, run.row.key))
        return ablate.Result({'top-1': 80.0 + len(order)}, 60.0)

    monkeypatch.setattr(ablate, 'train', train)
    table, said = made_table('a', 'b'), []
    screen = SimpleNamespace(print=lambda text, **_: said.append(text))
    args = arguments(table, tmp_path, seeds=2)
    finish(runs_of(table, 2, tmp_path)[0], 70.0, seconds=60)
    failing.add((1, 'a'))
    with pytest.raises(SystemExit, match='failed'):
        train_all(args, {}, screen)
    text = (tmp_path / TABLE).read_text()
    assert '| row a | 1 | 70.00 |' in text
    assert '| row b | 1 | 81.00 |' in text
    failing.clear()
    train_all(args, {}, screen)
    assert order == [(0, 'b'), (1, 'a'), (1, 'b')]
    assert '| row a | 2 | 76.00 ± 8.49 |' in (tmp_path / TABLE).read_text()
    assert (tmp_path / PLOT).is_file()
    assert [line for line in said if ' of 4' in line] == [
        '\n[bold]2 of 4[/bold]  seed 0, row b, about 0:03:00 left',
        *2 * ['\n[bold]3 of 4[/bold]  seed 1, row a, about 0:02:00 left'],
        '\n[bold]4 of 4[/bold]  seed 1, row b, about 0:01:00 left',
    ]


def test_a_row_is_trained_by_the_train_command_with_its_seed(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(ablate, 'run', lambda *arguments, **_: called.append(list(map(str, arguments))) or 5.0)
    monkeypatch.setattr(ablate, 'is_validated', lambda *_: True)
    monkeypatch.setattr(
        'mmgcvit.visualization.curves.find_latest_entry', lambda *_: {'coco/bbox_mAP': 0.44, 'coco/segm_mAP': 0.4}
    )
    table = made_table('a', metrics=('box AP', 'mask AP'))
    args = arguments(table, tmp_path, gpus=8, cfg_options={'train_cfg.max_epochs': 3})
    result = ablate.train(runs_of(table, 4, tmp_path)[3], args, {'a': Path('a.py')})
    assert result.scores == pytest.approx({'box AP': 44, 'mask AP': 40})
    (command,) = called
    assert command[:5] == ['launch', '8', 'train', 'a.py', '--resume']
    assert command[command.index('--work-dir') + 1] == str(tmp_path / 'seed_3' / 'a')
    assert command[-3:] == ['--cfg-options', 'train_cfg.max_epochs=3', 'randomness.seed=3']
