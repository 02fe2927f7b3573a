"""Checkpoints are read wherever they are, in every format by content; what cannot be is told in a sentence."""

import pytest
import torch
from safetensors.torch import save_file

from mmgcvit.checkpoints import CheckpointError, DamagedCheckpointError, read_checkpoint
from mmgcvit.checkpoints.reading import read_trusted_checkpoint

WEIGHTS = {'a.weight': torch.arange(6.0).reshape(2, 3)}


def test_safetensors_are_known_by_their_content(tmp_path):
    for name in ('model.safetensors', 'model.bin', 'model.pth'):
        save_file(WEIGHTS, tmp_path / name)
        assert torch.equal(read_checkpoint(str(tmp_path / name))['a.weight'], WEIGHTS['a.weight'])
    content = (tmp_path / 'model.bin').read_bytes()
    for damaged in (content[:-1], content.replace(b'F32', b'X32')):
        (tmp_path / 'model.bin').write_bytes(damaged)
        with pytest.raises(DamagedCheckpointError, match=r'model\.bin is damaged'):
            read_checkpoint(str(tmp_path / 'model.bin'))


def test_what_is_trusted_and_cannot_be_read_is_named(tmp_path):
    (tmp_path / 'x.pth').write_bytes(b'nothing')
    with pytest.raises(CheckpointError, match=r'x\.pth cannot be read, trusted as it is'):
        read_trusted_checkpoint(str(tmp_path / 'x.pth'))


def test_timms_models_are_named_and_nothing_else_is_looked_for(monkeypatch):
    import timm

    asked = {}

    def create_model(name, pretrained):
        asked.update(name=name, pretrained=pretrained)
        return torch.nn.Linear(2, 3)

    monkeypatch.setattr(timm, 'create_model', lambda *_, **__: 1 / 0)
    with pytest.raises(CheckpointError, match='timm could not give the pretrained model gcvit_tiny: division'):
        read_checkpoint('timm://gcvit_tiny')
    for other, instead in (
        ('gcvit_tinny', 'is timm://gcvit_tiny meant'),
        ('resnet50', ''),
        ('hf-hub:anyone/thing', ''),
    ):
        with pytest.raises(
            CheckpointError, match=f"is no GC ViT of timm's; there are gcvit_base, .*gcvit_xxtiny.*{instead}"
        ):
            read_checkpoint(f'timm://{other}')
    monkeypatch.setattr(timm, 'create_model', create_model)
    for read in (read_checkpoint, read_trusted_checkpoint):
        assert set(read('timm://gcvit_tiny')) == {'weight', 'bias'}
        assert asked == {'name': 'gcvit_tiny', 'pretrained': True}
