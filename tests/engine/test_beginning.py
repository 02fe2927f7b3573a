"""A refused start leaves the work dir as it was, byte for byte; a config is written once its run has begun."""

import hashlib
import shutil
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from mmgcvit.checkpoints import read_checkpoint, save_whole
from mmgcvit.datasets.checks import skip_damaged
from mmgcvit.engine import beginning

from ..datasets.checks.made import cut, write_folders
from .calling import CONFIG, HOOKS, as_before, call
from .toy import FLEXIBLE, train_in_two

pytestmark = pytest.mark.usefixtures('as_before')
__all__ = ['as_before']


def content_of(folder):
    """The digest of every file, by its path; folders have none."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        for path in folder.rglob('*')
    }


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'finished'
    assert call('train', CONFIG, '--work-dir', folder) is None
    # Another run in the same second would have it as its own.
    (log,) = (path for path in folder.iterdir() if path.is_dir())
    log.rename(folder / '20200101_000000')
    content = read_checkpoint(str(folder / 'epoch_2.pth'))
    others = {
        'no_run.pth': {'state_dict': content['state_dict']},
        'other_network.pth': {'state_dict': {'a': torch.zeros(3)}, 'meta': {'epoch': 1, 'iter': 1}},
        'no_counts.pth': {**content, 'meta': {**content['meta'], 'epoch': -1}},
    }
    for name, other in others.items():
        save_whole(other, folder.parent / name)
    (folder.parent / 'torn.pth').write_bytes((folder / 'epoch_2.pth').read_bytes()[:5000])
    shutil.copy(CONFIG, folder.parent / 'other_name.py')
    return folder


# The command and its options, those of the config, and words of the refusal. {} is the folder of the files.
REFUSALS = {
    'used': ('train', [], [], "holds an earlier run's"),
    'used, another config': (
        'train {}/other_name.py',
        [],
        ['optim_wrapper.optimizer.lr=1.0'],
        "holds an earlier run's",
    ),
    'used, with a display': ('train', ['--progress'], [], "holds an earlier run's"),
    'used, FlexibleRunner': ('train', [], FLEXIBLE, "holds an earlier run's"),
    'no data checks': ('train', ['--overwrite'], ['data_checks.images=-1'], 'data_checks'),
    'another model': ('train', ['--resume'], ['model.backbone.drop_path_rate=0.3'], 'resume-with-changes'),
    'another rate': ('train', ['--resume'], ['optim_wrapper.optimizer.lr=1.0'], 'optim_wrapper.optimizer.lr'),
    'other images': ('train', ['--resume'], ['train_dataloader.batch_size=1'], 'images in a step'),
    'torn': ('train', ['--resume', '{}/torn.pth'], [], 'torn.pth is damaged'),
    'no file': ('train', ['--resume', 'nowhere.pth'], [], 'there is no checkpoint'),
    'no run': ('train', ['--resume', '{}/no_run.pth'], [], 'cannot be resumed'),
    'no counts': ('train', ['--resume', '{}/no_counts.pth', '--progress'], [], 'cannot be resumed'),
    'another network': ('train', ['--resume', '{}/other_network.pth'], [], 'does not fit'),
    'no runner': ('train', ['--overwrite'], ['runner_type=NoRunner'], 'there is no such runner'),
    'hook': ('train', ['--overwrite'], ['default_hooks.checkpoint.no_such=1'], 'takes no no_such'),
    'weights': ('train', ['--overwrite'], ['load_from={}/other_network.pth'], 'does not fit'),
    'test, no file': ('test', ['nowhere.pth'], [], 'there is no checkpoint'),
    'test, another network': ('test', ['{}/other_network.pth'], [], 'does not fit'),
    'test, with a display': ('test', ['{}/other_network.pth', '--progress'], [], 'does not fit'),
}


@pytest.mark.parametrize('case', REFUSALS)
def test_a_refused_start_changes_nothing(case, finished, tmp_path):
    """Neither in a finished run's work dir, nor where there is none yet."""
    command, arguments, options, words = REFUSALS[case]
    name, _, config = command.partition(' ')
    given = [text.format(finished.parent) for text in (config or CONFIG, *arguments)]
    options = [text.format(finished.parent) for text in options]
    before = content_of(finished)
    assert words in call(name, *given, '--work-dir', finished, options=options)
    assert content_of(finished) == before
    if 'used' not in case and arguments != ['--resume']:
        said = call(name, *given, '--work-dir', tmp_path / 'a' / 'b', options=options)
        assert said is not None
        assert not list(tmp_path.iterdir()), said


def test_of_two_processes_that_are_refused_neither_changes_anything(finished, tmp_path):
    """Also where only the first has looked, as it does into the data."""
    folder = shutil.copytree(finished, tmp_path / 'run')
    before = content_of(folder)
    data = {**write_folders(tmp_path / 'data'), 'type': 'mmpretrain.CustomDataset', 'pipeline': '[]'}
    cut(tmp_path / 'data' / 'train' / 'cat' / 'a.jpg')
    data = ['--overwrite', '--cfg-options', *(f'train_dataloader.dataset.{name}={data[name]}' for name in data), *HOOKS]
    other = ['--resume', finished.parent / 'other_network.pth']
    for options, words in (
        (other, 'does not fit'),
        (['--progress', *other], 'does not fit'),
        (['--progress', *data], 'train/cat/a.jpg'),
    ):
        for printed in train_in_two(folder, *options, code=1):
            assert words in printed
            assert 'Traceback' not in printed
        assert content_of(folder) == before


def test_a_test_leaves_the_config_of_the_run_as_it_is(finished, tmp_path):
    """Also where it is of other settings; its own are with its log."""
    folder = shutil.copytree(finished, tmp_path / 'run')
    before = content_of(folder)
    checkpoint = str(folder / 'epoch_2.pth')
    assert call('test', CONFIG, checkpoint, '--work-dir', folder, options=['test_dataloader.batch_size=1']) is None
    after = content_of(folder)
    assert {name: after.get(name) for name in before} == before
    (config,) = (folder / name for name in after.keys() - before.keys() if name.endswith('vis_data/config.py'))
    assert Config.fromfile(config).test_dataloader.batch_size == 1


def test_a_training_that_fails_at_its_first_iteration_leaves_its_log_and_the_config_before(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / 'run')
    config = (folder / 'toy_config.py').read_bytes()
    with pytest.raises(TypeError):
        call('train', CONFIG, '--overwrite', '--work-dir', folder, options=['train_dataloader.collate_fn.type=str'])
    assert (folder / 'toy_config.py').read_bytes() == config
    assert len(list(folder.glob('*/*.log'))) == 2
    assert (
        call('train', CONFIG, '--overwrite', '--work-dir', folder, options=['optim_wrapper.optimizer.lr=0.5']) is None
    )
    assert Config.fromfile(folder / 'toy_config.py').optim_wrapper.optimizer.lr == 0.5


def test_every_runner_writes_its_config_into_the_work_dir_and_into_its_checkpoints(tmp_path):
    for name, options in (('Runner', []), ('FlexibleRunner', FLEXIBLE)):
        folder = tmp_path / name
        assert call('train', CONFIG, '--work-dir', folder, options=[*options, 'train_cfg.max_epochs=1']) is None
        text = (folder / 'toy_config.py').read_text()
        for path in folder.glob('*.pth'):
            assert read_checkpoint(str(path))['meta']['cfg'] == text, path
        assert len(list(folder.glob('*.pth'))) == 2


def test_a_written_config_loads_as_it_was_given_so_that_a_host_trains_it_without_this_package(tmp_path):
    pipeline = [{'type': 'LoadImageFromFile'}, {'type': 'RandomFlip', 'prob': 0.5}]
    cfg = Config({'train_dataloader': {'dataset': {'type': 'CocoDataset', 'pipeline': pipeline}}})
    skip_damaged(cfg, 20)
    beginning.Beginning(tmp_path).after_train_iter(SimpleNamespace(cfg=cfg, timestamp='config'))
    assert Config.fromfile(tmp_path / 'config.py').train_dataloader.dataset.pipeline == pipeline
