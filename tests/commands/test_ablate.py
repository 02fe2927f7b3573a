"""The command's own part: what it refuses before it trains, and which score it takes."""

import argparse
import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmgcvit.commands import ablate
from mmgcvit.commands.ablate import PLOT, TABLE, Setting, begin, check_args, configs_of, is_validated, train_all
from mmgcvit.errors import UserError
from mmgcvit.experiments.ablation_runs import runs_of
from mmgcvit.experiments.ablation_tables import Row, Table

from ..experiments.made import finish, made_table


def options(**given):
    return argparse.Namespace(**{'seeds': 1, 'gpus': None, 'data': 'own', 'overwrite': False, 'resume': False, **given})


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ({'seeds': 0}, '--seeds is 0; expected at least 1'),
        ({'gpus': -1}, '--gpus is -1; expected at least 1'),
        ({'data': 'digit'}, '--data digit: expected digits, own or a config, and there is no such file'),
    ],
)
def test_what_makes_no_sense_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        check_args(options(**given))


def test_without_what_draws_nothing_is_trained(monkeypatch):
    monkeypatch.setattr('mmgcvit.experiments.ablation_runs.find_spec', lambda name: None)
    with pytest.raises(UserError, match=r'mmgcvit\[benchmark\]'):
        check_args(options())


@pytest.fixture
def table(tmp_path):
    """A table of one row, and a user's config beside it."""
    (tmp_path / 'whole.py').write_text('lr = 1.0\nmodel = dict(kind="A")')
    (tmp_path / 'a.py').write_text('lr = 1.0\nmodel = dict(kind="B")')
    (tmp_path / 'mine.py').write_text('lr = 0.5\nmodel = dict(kind="A", width=3)')
    return Table('made', 'A table', ('top-1',), tmp_path / 'whole.py', (Row('a', 'row a', tmp_path / 'a.py'),))


def test_a_used_folder_is_refused_until_the_user_says_what_becomes_of_it(table, tmp_path):
    (run,) = runs_of(table, 1, tmp_path)
    begin(table, tmp_path, {}, options())
    finish(run, 90)
    with pytest.raises(UserError, match=r'trainings of an earlier call\. Go on with --resume, .* --overwrite'):
        begin(table, tmp_path, {}, options())
    begin(table, tmp_path, {}, options(resume=True))
    assert run.folder.is_dir()
    begin(table, tmp_path, {}, options(overwrite=True))
    assert not run.folder.exists()


@pytest.mark.parametrize(
    ('given', 'settings'),
    [
        ({'resume': True}, {'randomness.seed': 7}),
        ({'resume': True, 'gpus': 8}, {}),
        ({'resume': True, 'data': 'mine'}, {}),
        ({'overwrite': True, 'data': 'digits'}, {}),
    ],
)
def test_what_cannot_go_on_changes_nothing(given, settings, table, tmp_path):
    """With other options or data, or begun anew at a scale that the table has not."""
    begin(table, tmp_path / 'work', {}, options())
    (run,) = runs_of(table, 1, tmp_path / 'work')
    finish(run, 90)
    before = sorted(tmp_path.rglob('*'))
    if given.get('data') == 'mine':
        given = {**given, 'data': str(tmp_path / 'mine.py')}
    with pytest.raises(UserError):
        begin(table, tmp_path / 'work', settings, options(**given))
    assert sorted(tmp_path.rglob('*')) == before


def test_in_full_each_row_has_its_own_config(tmp_path):
    table = made_table('a', 'b')
    assert configs_of(table, 'own', tmp_path) == {row.key: row.config for row in table.rows}


def test_a_table_without_the_demos_scale_says_what_there_is(tmp_path):
    with pytest.raises(UserError, match='made cannot be trained on digits; take --data own'):
        configs_of(made_table('a'), 'digits', tmp_path)


@pytest.fixture
def logged(tmp_path):
    """Writes what mmengine logs of a training that has saved a checkpoint of its second epoch."""

    def logged(*entries):
        folder = tmp_path / '20260101_000000' / 'vis_data'
        folder.mkdir(parents=True)
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, entries)))
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
        return tmp_path

    return logged


def test_a_score_is_taken_from_the_validation_of_the_last_checkpoint(logged):
    assert is_validated(logged({'mIoU': 1.0, 'step': 1}, {'mIoU': 2.0, 'step': 2}), 'mIoU')


@pytest.mark.parametrize('entries', [[], [{'mIoU': 1.0, 'step': 1}], [{'loss': 1.0, 'step': 2}]])
def test_a_training_that_was_stopped_before_that_validation_is_tested(entries, logged):
    assert not is_validated(logged(*entries), 'mIoU')


@pytest.fixture
def trained(monkeypatch):
    """What is trained, without training it: each ends with a score of 80 and its number."""
    order = []

    def train(run, table, setting):
        run.folder.mkdir(parents=True)
        order.append((run.seed, run.row.key))
        return ablate.Result({'top-1': 80.0 + len(order)}, 60.0)

    monkeypatch.setattr(ablate, 'train', train)
    return order


SETTING = Setting({}, {}, None, 'cpu', True, 'A note.')


class Lines(list):
    """A screen."""

    def print(self, text, **_):
        self.append(text)


def test_the_table_is_whole_after_each_training_and_nothing_finished_is_trained_again(trained, tmp_path):
    table, screen = made_table('a', 'b'), Lines()
    runs = runs_of(table, 2, tmp_path)
    finish(runs[0], 70.0, seconds=60)
    train_all(table, runs, SETTING, tmp_path, screen)
    assert trained == [(0, 'b'), (1, 'a'), (1, 'b')]
    text = (tmp_path / TABLE).read_text()
    assert '| row a | 2 | 76.00 ± 8.49 |' in text
    assert (tmp_path / PLOT).is_file()
    assert [line for line in screen if ' of 4' in line] == [
        '\n[bold]2 of 4[/bold]  seed 0, row b, about 0:03:00 left',
        '\n[bold]3 of 4[/bold]  seed 1, row a, about 0:02:00 left',
        '\n[bold]4 of 4[/bold]  seed 1, row b, about 0:01:00 left',
    ]


def test_a_training_that_fails_leaves_the_table_of_those_before(trained, tmp_path, monkeypatch):
    table = made_table('a', 'b')
    runs = runs_of(table, 1, tmp_path)
    before = ablate.train

    def train(run, *more):
        if run.row.key == 'b':
            raise SystemExit('failed')
        return before(run, *more)

    monkeypatch.setattr(ablate, 'train', train)
    with pytest.raises(SystemExit, match='failed'):
        train_all(table, runs, SETTING, tmp_path, Lines())
    text = (tmp_path / TABLE).read_text()
    assert '| row a | 1 | 81.00 |' in text
    assert '| row b | 0 |  |' in text


def test_a_row_is_trained_by_the_train_command_with_its_seed(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(ablate, 'run', lambda *arguments, **_: called.append(list(map(str, arguments))) or 5.0)
    monkeypatch.setattr(ablate, 'is_validated', lambda *_: True)
    monkeypatch.setattr(ablate, 'latest_entry', lambda *_: {'coco/bbox_mAP': 0.44, 'coco/segm_mAP': 0.4})
    table = made_table('a', metrics=('box AP', 'mask AP'))
    run = runs_of(table, 4, tmp_path)[3]
    setting = Setting({'a': Path('a.py')}, {'train_cfg.max_epochs': 3}, 8, 'auto', True, '')
    assert ablate.train(run, table, setting).scores == pytest.approx({'box AP': 44, 'mask AP': 40})
    (command,) = called
    assert command[:5] == ['launch', '8', 'train', 'a.py', '--resume']
    assert command[command.index('--work-dir') + 1] == str(tmp_path / 'seed_3' / 'a')
    assert command[-3:] == ['--cfg-options', 'train_cfg.max_epochs=3', 'randomness.seed=3']


def test_what_rows_change_is_put_on_a_users_config(table, tmp_path):
    (path,) = configs_of(table, str(tmp_path / 'mine.py'), tmp_path / 'configs').values()
    assert Config.fromfile(path).to_dict() == {'lr': 0.5, 'model': {'kind': 'B', 'width': 3}}
