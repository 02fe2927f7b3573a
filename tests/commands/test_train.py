"""``train --data FOLDER --resume`` continues the run of this folder and of these options, and reads no image."""

import json
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.commands import train
from mmgcvit.commands.options import Parser
from mmgcvit.errors import UserError

CHOICES = {'--size': ['mini', 'tiny'], '--image-size': ['96', '128'], '--lr': ['0.1'], '--task': ['detect']}
OPTIONS = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in CHOICES.items()})


def parse(*arguments):
    parser = Parser()
    train.add_options(parser)
    return parser.parse_args(list(map(str, arguments)))


def start(folder, data, options, *more):
    """Write what a first start leaves in its work dir."""
    args = parse('--data', data, *[text for item in options.items() for text in item], *more)
    made = folder / 'work_dirs' / Path(data).name / 'made'
    made.mkdir(parents=True, exist_ok=True)
    config = made / f'{Path(data).name}.py'
    config.write_text('')
    with (
        mock.patch('mmgcvit.datasets.own_data.make_config', return_value=(config, '')),
        mock.patch('mmgcvit.engine.resume.require_unused'),
    ):
        train.write_config(args, SimpleNamespace(folder=Path(data)))
    (made.parent / config.name).write_text('')  # which mmengine writes


@given(first=OPTIONS, second=OPTIONS)
def test_a_run_is_resumed_with_its_own_options_or_none_of_them(first, second, tmp_path_factory):
    folder = tmp_path_factory.mktemp('project')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        start(folder, 'photos', first)
        again = parse('--data', 'photos', *[text for item in second.items() for text in item], '--resume')
        if second.items() <= first.items():
            assert train.find_resumed_config(again) == Path('work_dirs/photos/photos.py')
        else:
            with pytest.raises(UserError, match='cannot be changed when a run is resumed'):
                train.find_resumed_config(again)


def test_the_folder_is_known_also_by_other_paths_and_another_folder_is_rejected(tmp_path, monkeypatch):
    (tmp_path / 'a' / 'photos').mkdir(parents=True)
    (tmp_path / 'link').symlink_to('a')
    monkeypatch.chdir(tmp_path)
    assert train.find_resumed_config(parse('--data', 'a/photos', '--resume')) is None, 'a new run'
    start(tmp_path, 'a/photos', {}, '--epochs', 5)
    for path in ('a/photos', './a/../a/photos/', tmp_path / 'a/photos', 'link/photos'):
        assert train.find_resumed_config(parse('--data', path, '--resume')) is not None
    assert train.find_resumed_config(parse('--data', 'a/photos')) is None, 'without --resume'
    with pytest.raises(UserError, match=r'the work dir of a run on a/photos, not on b/photos\. Set'):
        train.find_resumed_config(parse('--data', 'b/photos', '--resume'))
    # The project is moved.
    monkeypatch.chdir(tmp_path.rename(tmp_path.with_name('moved')))
    assert train.find_resumed_config(parse('--data', 'a/photos', '--resume')) is not None


def test_only_another_number_of_epochs_writes_another_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start(tmp_path, 'photos', {'--size': 'mini'}, '--epochs', 5)
    config, longer = Path('work_dirs/photos/photos.py'), Path('work_dirs/photos/made2/photos.py')
    with mock.patch('mmgcvit.datasets.own_data.extend_run', return_value=(longer, '9 epochs')) as extend:
        for epochs in ([], ['--epochs', 5]):
            assert train.change_length(parse('--data', 'photos', '--resume', *epochs), config) == config
        assert train.change_length(parse('--data', 'photos', '--resume', '--epochs', 9), config) == longer
    extend.assert_called_once_with(config, 9)
    assert json.loads(longer.with_name('options.json').read_text())['epochs'] == 9
    assert train.read_options(config.parent)['size'] == 'mini'
