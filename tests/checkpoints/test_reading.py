"""Read checkpoints: tensors are exact, no code runs, damage is detected, and each error is one
sentence.
"""

import argparse
import os
import socket
import tarfile
from collections import Counter, OrderedDict
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from mmengine.config import ConfigDict
from safetensors.torch import save_file
from torch import nn

from mmgcvit.checkpoints import reading
from mmgcvit.checkpoints.downloads import MAX_SILENCE
from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.errors import CheckpointError

from ..toy import RunsACommand

pytestmark = pytest.mark.usefixtures('empty_folder')
# Values that are read unchanged.
DATA = {
    'plain': {'a': [1, -1, 2**100, 1.5, True, None, 'ä', b'\xff', (1, (2, 3))]},
    'ordered': OrderedDict(b=1, a=2),
    'counter': Counter([3, 3]),
    'set': {1, 'a'},
    'torch': [torch.Size([2, 3]), torch.float16, torch.device('cuda', 1)],
}
# Objects of other classes in checkpoints of mmengine and others.
LEFT_OUT = {
    'options': argparse.Namespace(lr=0.1),
    'config': ConfigDict(a=1),
    'objects': np.array(['a'], dtype=object),
    'path': Path('x'),
    'inside a list': [1, Fraction(1, 3)],
    'a function': argparse.ArgumentParser,
    'a module': nn.Linear(1, 1),
}
SCORES = [np.float64(0.1), np.float32(1.5), np.int64(3), np.bool_(True)]
TENSORS = {
    'transposed': torch.arange(6.0).reshape(2, 3).T,
    'a part': torch.arange(6)[2:4],
    'empty': torch.zeros(0, 3),
    'one': torch.tensor(2.5, dtype=torch.bfloat16),
    'bool': torch.tensor([True, False]),
    'parameter': nn.Parameter(torch.ones(3)),
}
save_legacy = partial(torch.save, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize('save', [torch.save, save_legacy])
@pytest.mark.parametrize('protocol', [2, 4])
def test_tensors_and_plain_data_are_read_exactly_and_other_objects_are_removed(save, protocol):
    weights = nn.BatchNorm1d(3).state_dict()
    weights.update(TENSORS)
    parts = {'scores': SCORES, 'weights': weights, 'bad': RunsACommand('ran')}
    save(DATA | LEFT_OUT | parts, 'x.pth', pickle_protocol=protocol)
    found = read_checkpoint('x.pth')
    loaded = found.pop('weights')
    assert found == {**DATA, 'scores': SCORES}
    assert {type(score) for score in found['scores']} == {float, int, bool}, "Python's numbers"
    assert loaded.keys() == weights.keys()
    for name, tensor in weights.items():
        assert (type(loaded[name]), loaded[name].dtype) == (torch.Tensor, tensor.dtype), name
        assert torch.equal(loaded[name], tensor), name
    # Versions by which modules rename keys when they are loaded
    assert loaded._metadata == weights._metadata
    assert not Path('ran').exists()


def test_torchs_own_restriction_to_weights_is_no_obstacle(monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')
    torch.save(TENSORS, 'x.pth')
    assert read_checkpoint('x.pth').keys() == TENSORS.keys()
    assert os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] == '1'


def test_an_object_instead_of_a_dict_is_rejected_and_runs_no_code():
    for content in (RunsACommand('ran'), [nn.Linear(1, 1)], np.arange(3)):
        torch.save(content, 'x.pth')
        with pytest.raises(CheckpointError, match='could run code'):
            read_checkpoint('x.pth')
    assert not Path('ran').exists()


def test_safetensors_files_are_recognised_by_their_content():
    save_file({'a': torch.arange(6.0)}, 'model.bin')
    assert torch.equal(read_checkpoint('model.bin')['a'], torch.arange(6.0))
    Path('words.txt').write_bytes(b'12345678{"a": "a text whose head would be a huge length"}')
    with pytest.raises(CheckpointError, match=r'neither torch\.save nor safetensors'):
        read_checkpoint('words.txt')


def test_tar_archives_are_rejected():
    """torch would read one without the safe unpickler. It begins with the name of its first file."""
    with tarfile.open('x.pth', 'w', format=tarfile.USTAR_FORMAT, encoding='latin-1') as archive:
        archive.addfile(tarfile.TarInfo('\x80x'))
    with pytest.raises(CheckpointError, match='is a TorchScript or tar archive'):
        read_checkpoint('x.pth')


def test_other_sources_of_mmengine_are_refused_with_what_to_do():
    with pytest.raises(
        CheckpointError, match=r'resnet50\. Expected a file on this machine, or an h'
    ):
        read_checkpoint('torchvision://resnet50')


def test_downloads_of_timm_end_if_a_server_does_not_answer(monkeypatch):
    limits = []

    def create(*_, **__):
        limits.append(socket.getdefaulttimeout())
        return nn.Linear(2, 3)

    monkeypatch.setattr(timm, 'create_model', create)
    read_checkpoint('timm://gcvit_tiny')
    assert limits == [MAX_SILENCE]
    assert socket.getdefaulttimeout() is None


def test_only_timms_gcvit_models_are_loaded_and_an_error_of_timm_is_one_sentence(monkeypatch):
    monkeypatch.setattr(timm, 'create_model', lambda *_, **__: nn.Linear(2, 3))
    assert set(read_checkpoint('timm://gcvit_tiny')) == {'weight', 'bias'}
    for name in ('resnet50', 'hf-hub:any/gcvit_tiny'):
        with pytest.raises(CheckpointError, match='is not a GC ViT'):
            read_checkpoint(f'timm://{name}')
    monkeypatch.setattr(timm, 'create_model', lambda *_, **__: 1 / 0)
    with pytest.raises(CheckpointError, match=r'load gcvit_tiny \(division by zero\)\. Check'):
        read_checkpoint('timm://gcvit_tiny')


LIMITED = ('gcvit_1k_tiny.pth.tar', 'x/gcvit_tiny_nvimagenet.pth', 'timm://no', 'link.pth')
FREE = ('mini.pt', 'nvidia/epoch_1.pth', 'loop.pth')


@pytest.mark.parametrize('name', LIMITED + FREE)
def test_a_warning_names_weights_that_are_not_for_commercial_use(name, monkeypatch):
    """No file of these names exists. The warning comes first."""
    for name_of_link, file in (
        ('link.pth', 'gcvit_21k_large_224.pth.tar'),
        ('loop.pth', 'loop.pth'),
    ):
        Path(name_of_link).symlink_to(file)
    warnings = []
    monkeypatch.setattr(reading, 'log_warning', warnings.append)
    monkeypatch.setattr(reading, 'download', None)
    with pytest.raises(CheckpointError):
        read_checkpoint(name)
    assert any('not for commercial use' in text for text in warnings) == (name not in FREE)
