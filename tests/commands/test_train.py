"""``train --data FOLDER --resume`` continues the run of this folder and of these options, and reads
no image.
"""

import shlex
import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config

from mmgcvit.commands import train
from mmgcvit.datasets.formats import read_folder
from mmgcvit.engine.hooks.stopping import format_resume_command
from mmgcvit.engine.train import train as engine_train
from mmgcvit.errors import UserError

from ..datasets.formats.made import write_example

CHOICES = {
    '--size': ['mini', 'tiny'],
    '--image-size': ['96', '128'],
    '--lr': ['0.1'],
    '--task': ['classify'],
}
CHOICES |= {'--augment': ['light', 'strong'], '--fine-tune': ['all', 'lora']}
DEFAULTS = {'--size': 'tiny' if torch.cuda.is_available() else 'mini', '--task': 'classify'}
DEFAULTS |= {'--augment': 'light', '--fine-tune': 'all'}
OPTIONS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in CHOICES.items()}
)


def parse(*arguments):
    parser = ArgumentParser()
    train.add_options(parser)
    return parser.parse_args(list(map(str, arguments)))


def start(root, data, options, *more, data_format='classes'):
    """Write what a first start leaves in its work dir. Return the config in it."""
    if not (root / data / 'train').exists():
        write_example(root / data, data_format)
    args = parse('--data', data, *[text for item in options.items() for text in item], *more)
    made = train.write_config(args, read_folder(args.data))
    config = train.get_run_config(args)
    Config.fromfile(made).dump(config)  # as mmengine does
    return config


@settings(max_examples=8)
@given(first=OPTIONS, second=OPTIONS)
def test_a_run_is_resumed_with_some_of_its_own_options_also_those_by_default(
    first, second, tmp_path_factory
):
    folder = tmp_path_factory.mktemp('project')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        start(folder, 'photos', first)
        again = parse(
            '--data', 'photos', *[text for item in second.items() for text in item], '--resume'
        )
        if second.items() <= (DEFAULTS | first).items():
            assert train.find_resumed_config(again) == Path('work_dirs/photos/photos.py')
        else:
            with pytest.raises(UserError, match='cannot be changed when a run is resumed'):
                train.find_resumed_config(again)


def test_the_folder_is_known_also_by_other_paths_and_another_folder_is_rejected(
    tmp_path, monkeypatch
):
    (project := tmp_path / 'project').mkdir()
    monkeypatch.chdir(project)
    start(project, 'a/photos', {})
    write_example(project / 'b' / 'photos', 'classes')
    (project / 'link').symlink_to('a')
    for path in ('a/photos', './a/../a/photos/', project / 'a/photos', 'link/photos'):
        assert train.find_resumed_config(parse('--data', path, '--resume'))
    monkeypatch.chdir(project / 'a')
    assert train.find_resumed_config(
        parse('--data', 'photos', '--work-dir', '../work_dirs/photos', '--resume')
    )
    monkeypatch.chdir(project / 'b')
    with pytest.raises(
        UserError, match=r'the work dir of a run on .*/a/photos, not on photos\. Set another'
    ):
        train.find_resumed_config(
            parse('--data', 'photos', '--work-dir', '../work_dirs/photos', '--resume')
        )
    monkeypatch.chdir(project.rename(tmp_path / 'moved'))
    assert train.find_resumed_config(parse('--data', 'a/photos', '--resume'))


def test_only_another_number_of_epochs_writes_another_config_with_the_other_settings(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    config = start(tmp_path, 'photos', {'--size': 'mini', '--fine-tune': 'lora'}, '--epochs', 5)
    for more in ([], ['--epochs', 5], ['--workers', 0]):
        assert train.find_resumed_config(parse('--data', 'photos', '--resume', *more)) == config
    longer = parse('--data', 'photos', '--size', 'mini', '--resume', '--epochs', 9)
    for _ in range(2):  # also if the first attempt fails before mmengine writes the config
        made = train.find_resumed_config(longer)
        assert Config.fromfile(made).train_cfg.max_epochs == 9
    before, after = Config.fromfile(config), Config.fromfile(made)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == {'train_cfg', 'param_scheduler'}


@pytest.mark.parametrize(
    'arguments',
    [
        ['--data', 'my photos', '--overwrite'],
        ['--resume', 'a.pth', 'c.py'],
        ['c.py', '--ov', '--cfg-options', 'a=b'],
    ],
)
def test_the_command_that_resumes_an_interrupted_run_has_its_other_options(arguments, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['mmgcvit train', *arguments])
    given = vars(parse(*arguments)) | {'resume': 'auto', 'overwrite': False}
    assert vars(parse(*shlex.split(format_resume_command())[2:])) == given


@pytest.mark.parametrize('first', [['--tiles'], ['--tiles', '192'], ['--tiles', '64'], []])
def test_tiles_of_the_image_size_are_the_default_side(first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start(tmp_path, 'photos', {'--size': 'mini', '--image-size': '192'}, *first, data_format='coco')
    for second in (['--tiles'], ['--tiles', '192']):
        again = parse('--data', 'photos', '--resume', *second)
        if '--tiles' in first and '64' not in first:
            train.find_resumed_config(again)
        else:
            with pytest.raises(UserError, match='--tiles cannot be changed when a run is resumed'):
                train.find_resumed_config(again)


@pytest.mark.slow
def test_an_image_that_is_removed_before_the_threshold_is_chosen_does_not_fail_the_training(
    call, tmp_path, monkeypatch
):
    write_example(tmp_path / 'photos', 'coco')

    def train_and_remove(*args, **options):
        engine_train(*args, **options)
        Path('photos/val/4.jpg').unlink()

    monkeypatch.setattr('mmgcvit.engine.train.train', train_and_remove)
    options = '--epochs', 1, '--image-size', 64, '--device', 'cpu', '--size=mini'
    assert (
        'the model is not judged: photos/val/4.jpg cannot be loaded'
        in call('train', '--data', 'photos', *options)[1]
    )
    assert Path('work_dirs/photos/epoch_1.pth').is_file()
