"""Read checkpoints: tensors are exact, no code runs, damage is detected, and each error is one
sentence.
"""

import argparse
import os
import tarfile
from collections import Counter, OrderedDict
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from mmengine.config import ConfigDict
from safetensors.torch import save_file
from torch import nn

from mmgcvit.checkpoints import downloading, reading
from mmgcvit.checkpoints.downloading import HUB_FILE
from mmgcvit.checkpoints.reading import FORCE_VARIABLE, read_checkpoint
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


def test_torchs_own_restriction_to_weights_is_respected(monkeypatch):
    """Then torch's reader is used, which takes fewer classes. The environment is not changed."""
    torch.save(TENSORS, 'x.pth')
    torch.save(LEFT_OUT, 'y.pth')
    monkeypatch.setenv(FORCE_VARIABLE, '1')
    assert read_checkpoint('x.pth').keys() == TENSORS.keys()
    with pytest.raises(CheckpointError, match=f'cannot be read by torch .* unset {FORCE_VARIABLE}'):
        read_checkpoint('y.pth')
    assert os.environ[FORCE_VARIABLE] == '1'
    monkeypatch.setenv(FORCE_VARIABLE, '0')
    assert read_checkpoint('y.pth') == {}


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


def test_weights_of_timm_are_those_of_the_url_in_its_table(monkeypatch):
    """Its releases are at GitHub, in torch's cache, where timm's own loading puts them too."""
    save_file({'a': torch.ones(1)}, 'x.safetensors')
    asked = []

    def download(url):
        asked.append(url)
        return Path('x.safetensors')

    monkeypatch.setattr(downloading, 'download_checkpoint', download)
    assert read_checkpoint('timm://gcvit_tiny').keys() == {'a'}
    assert Path(asked[0]).name == 'gcvit_tiny_224_nvidia-ac783954.pth'
    cfg = SimpleNamespace(url='', hf_hub_id='timm/gcvit_tiny.in1k')
    monkeypatch.setattr(timm, 'get_pretrained_cfg', lambda _: cfg)
    read_checkpoint('timm://gcvit_tiny')
    assert HUB_FILE.fullmatch(asked[1]).groups() == (
        'timm/gcvit_tiny.in1k',
        'main',
        'model.safetensors',
    )


@pytest.mark.parametrize('name', ['resnet50', 'hf-hub:any/gcvit_tiny', 'gcvit_no', 'gcvit_tiny.no'])
def test_only_timms_gcvit_models_are_loaded(name):
    with pytest.raises(CheckpointError, match='is not a GC ViT'):
        read_checkpoint(f'timm://{name}')


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
    monkeypatch.setattr(downloading, 'download_from_url', None)
    monkeypatch.setattr(downloading, 'download_from_hub', None)
    with pytest.raises(CheckpointError):
        read_checkpoint(name)
    assert any('not for commercial use' in text for text in warnings) == (name not in FREE)
