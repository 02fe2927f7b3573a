"""Hosts read checkpoints through this project's safe reading, and only what holds the model's weights is used."""

import os
import pickle

import pytest
import torch
from mmengine.runner import CheckpointLoader
from torch import nn

from mmgcvit.checkpoints import CheckpointError
from mmgcvit.cli.checkpoint_check import check_fits, load_for_host, read_checkpoints_safely


class RunsACommand:
    """Unpickled, this touches a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


@pytest.fixture
def safe_reading(monkeypatch):
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    read_checkpoints_safely()


@pytest.mark.usefixtures('safe_reading')
@pytest.mark.parametrize('scheme', ['', 'a://'])
def test_a_host_runs_no_code_from_a_file_whatever_its_name(scheme, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a:').mkdir()
    name = f'{scheme}x.pth'
    (tmp_path / name).write_bytes(pickle.dumps(RunsACommand(tmp_path / 'ran'), protocol=2))
    with pytest.raises(CheckpointError):
        CheckpointLoader.load_checkpoint(name)
    assert not (tmp_path / 'ran').exists()


@pytest.mark.usefixtures('safe_reading')
@pytest.mark.parametrize('name', ['x.pth', 'https://somewhere/x.pth', 'timm://gcvit_tiny'])
def test_what_is_checked_is_what_the_host_loads(name):
    """Read twice by two readers, a file could be one thing to the first and another to the second."""
    assert CheckpointLoader._get_checkpoint_loader(name) is load_for_host


@pytest.mark.parametrize('wrap', [lambda s: s, lambda s: {'model': s}, lambda s: {'state_dict': s, 'meta': {}}])
def test_hosts_find_the_weights_wherever_trainers_put_them(wrap, tmp_path):
    torch.save(wrap({'weight': torch.ones(1)}), tmp_path / 'x.pth')
    assert load_for_host(str(tmp_path / 'x.pth'))['state_dict']['weight'] == 1


@pytest.mark.parametrize('prefix', ['', 'module.', 'module.module.'])
def test_wrappers_around_the_model_do_not_matter(prefix, tmp_path):
    torch.save(
        {'state_dict': {prefix + name: tensor for name, tensor in nn.Linear(2, 3).state_dict().items()}}, tmp_path / 'x'
    )
    check_fits(nn.Linear(2, 3), str(tmp_path / 'x'))


def test_what_is_missing_or_of_another_shape_is_named(tmp_path):
    torch.save({'state_dict': {'weight': torch.zeros(3, 3)}}, tmp_path / 'x')
    with pytest.raises(CheckpointError, match=r'2 of its 2 tensors are missing or of other shapes \(weight, bias'):
        check_fits(nn.Linear(2, 3), str(tmp_path / 'x'))


def test_a_part_can_be_asked_for_alone(tmp_path):
    model = nn.ModuleDict({'backbone': nn.Linear(2, 2), 'head': nn.Linear(2, 5)})
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'x')
    other = nn.ModuleDict({'backbone': nn.Linear(2, 2), 'head': nn.Linear(2, 7)})
    check_fits(other, str(tmp_path / 'x'), part='backbone.')
    with pytest.raises(CheckpointError):
        check_fits(other, str(tmp_path / 'x'))
