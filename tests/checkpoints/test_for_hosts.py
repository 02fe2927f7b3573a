"""mmengine reads checkpoints through this project's reading from the import on, and gets data without orders."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmgcvit.checkpoints import CheckpointError
from mmgcvit.checkpoints.for_hosts import read_for_host, register_reader

from .hostile import RunsACommand


@pytest.fixture
def loaders(monkeypatch):
    """mmengine's registry, to be changed for one test."""
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))


@pytest.mark.parametrize('scheme', ['', 'a://'])
def test_a_host_runs_no_code_from_a_file_whatever_its_name(scheme, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a:').mkdir()
    name = f'{scheme}x.pth'
    (tmp_path / name).write_bytes(pickle.dumps(RunsACommand(tmp_path / 'ran'), protocol=2))
    with pytest.raises(CheckpointError):
        CheckpointLoader.load_checkpoint(name)
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('name', ['x.pth', 'https://somewhere/x.pth', 'timm://gcvit_tiny'])
def test_importing_the_package_is_enough(name):
    """Read twice by two readers, a file could be one thing to the first and another to the second."""
    assert CheckpointLoader._get_checkpoint_loader(name).__name__ == 'load_from_mmgcvit'


@pytest.mark.usefixtures('loaders')
def test_only_the_file_that_is_trusted_may_run_code(tmp_path):
    for name in ('mine', 'other'):
        torch.save(
            {'state_dict': {'a': torch.ones(1)}, 'extra': RunsACommand(tmp_path / f'{name} ran')}, tmp_path / name
        )
    register_reader(trusted=[str(tmp_path / 'mine')])
    assert CheckpointLoader.load_checkpoint(str(tmp_path / 'mine'))['state_dict']['a'] == 1
    assert (tmp_path / 'mine ran').exists()
    with pytest.raises(CheckpointError, match='could run code'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'other'))
    assert not (tmp_path / 'other ran').exists()


@pytest.mark.parametrize('wrap', [lambda s: s, lambda s: {'model': s}, lambda s: {'state_dict': s, 'meta': {}}])
def test_hosts_find_the_weights_wherever_trainers_put_them(wrap, tmp_path):
    torch.save(wrap({'weight': torch.ones(1)}), tmp_path / 'x.pth')
    assert read_for_host(str(tmp_path / 'x.pth'))['state_dict']['weight'] == 1


def test_files_of_other_things_than_weights_are_read_too(tmp_path):
    """Strategies of mmengine keep a meta.pth."""
    torch.save({'epoch': 3}, tmp_path / 'meta.pth')
    assert read_for_host(str(tmp_path / 'meta.pth'))['epoch'] == 3


@pytest.mark.parametrize('name', [1, ('a',), 'a\x1b[2J', 'a' * 10_000, ''.join(map(chr, range(0x202A, 0x2030)))])
def test_names_of_tensors_are_text_that_prints(name, tmp_path):
    torch.save({'state_dict': {name: torch.ones(1)}}, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError) as refusal:
        read_for_host(str(tmp_path / 'x.pth'))
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 1000


def checkpoint_of_a_run(path, **runtime_info):
    content = {
        'state_dict': {'a': torch.ones(1)},
        'meta': {'epoch': 1, 'cfg': 'import os', 'config': 'import os'},
        'message_hub': {
            'log_scalars': {},
            'runtime_info': {'cfg': 'import os', 'epoch': 1, **runtime_info},
            'resumed_keys': dict.fromkeys(['cfg', 'epoch', *runtime_info], True),
        },
    }
    torch.save(content, path)
    return str(path)


def test_no_config_from_a_file_reaches_a_host(tmp_path):
    """mmengine's resume runs meta['config'], its inferencers runtime_info['cfg'] and meta['cfg']."""
    content = read_for_host(checkpoint_of_a_run(tmp_path / 'x.pth'))
    assert content['meta'] == {'epoch': 1}
    assert content['message_hub']['runtime_info'] == {'epoch': 1}
    assert content['message_hub']['resumed_keys'] == {'epoch': True}


class TestBestCheckpoint:
    """mmengine removes it at the next better score."""

    def info(self, tmp_path, path, name='best_ckpt'):
        work_dir = tmp_path / 'run'
        work_dir.mkdir(exist_ok=True)
        file = checkpoint_of_a_run(work_dir / 'x.pth', **{name: str(path)})
        return read_for_host(file, work_dir)['message_hub']['runtime_info'].get(name)

    @pytest.mark.parametrize('name', ['best_ckpt', 'best_ckpt_coco/bbox_mAP'])
    def test_of_this_runs_folder_is_known_again(self, name, tmp_path):
        path = tmp_path / 'run' / 'best_coco_bbox_mAP_epoch_3.pth'
        assert self.info(tmp_path, path, name) == str(path)

    @pytest.mark.parametrize(
        'path',
        [
            *('other/best_a_epoch_3.pth', 'run', 'run/.', 'run/epoch_3.pth', 'run/../other/best_a_epoch_3.pth'),
            *('run/deeper/best_a_epoch_3.pth', 'run/best_folder.pth', 'run/best_link.pth', '', 'run/best_a\0.pth'),
        ],
    )
    @pytest.mark.parametrize('name', ['best_ckpt', 'best_ckpt_coco/bbox_mAP', 'last_ckpt'])
    def test_anywhere_else_is_not_handed_over(self, path, name, tmp_path):
        (tmp_path / 'run' / 'best_folder.pth').mkdir(parents=True)
        (tmp_path / 'run' / 'best_link.pth').symlink_to(tmp_path / 'mine')
        assert self.info(tmp_path, tmp_path / path, name) is None

    @pytest.mark.parametrize('value', [np.array([1.0, 2.0]), torch.ones(2), 3, ['a']])
    def test_what_is_no_path_is_not_handed_over(self, value, tmp_path):
        (tmp_path / 'run').mkdir()
        file = checkpoint_of_a_run(tmp_path / 'x.pth', best_ckpt=value)
        assert 'best_ckpt' not in read_for_host(file, tmp_path / 'run')['message_hub']['runtime_info']

    def test_without_a_work_folder_none_is_handed_over(self, tmp_path):
        """As under the hosts' own scripts, whose work folder the reader does not know."""
        file = checkpoint_of_a_run(tmp_path / 'x.pth', best_ckpt=str(tmp_path / 'best_a_epoch_3.pth'))
        assert 'best_ckpt' not in read_for_host(file)['message_hub']['runtime_info']


@pytest.mark.parametrize(('steps', 'kept'), [([1, 2], True), (['/../../x'], False), ([-1], False), ('12', False)])
def test_the_steps_of_kept_checkpoints_are_numbers(steps, kept, tmp_path):
    """mmengine makes file names of them, and removes the files."""
    content = read_for_host(checkpoint_of_a_run(tmp_path / 'x.pth', keep_ckpt_ids=steps))
    assert ('keep_ckpt_ids' in content['message_hub']['runtime_info']) == kept
