"""Which layers become faster ones. That they compute the same: contract/test_plain.py."""

import pytest
import torch
from torch import nn

from mmgcvit import LSA, GCViT
from mmgcvit.models import speed_up
from mmgcvit.models.lsa.attention import ShiftAttention

from .contract.backbones import GCVIT
from .layers.test_attention import record_operators


def test_linear_layers_of_large_inputs_are_convolutions(monkeypatch):
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    layer = speed_up.OneDNNLinear(8, 6)
    for length in (2560, 2561):  # 8 * 2560 is MIN_ONEDNN_ELEMENTS
        called = record_operators(lambda length=length: layer(torch.rand(length, 8)))
        assert ('aten::conv2d' in called) == (length > 2560)


class WrappedLinear(nn.Linear):
    """A layer that computes something else, as those with LoRA."""


@pytest.mark.parametrize('is_other', [False, True])
def test_only_backbones_of_this_package_are_sped_up(is_other, monkeypatch):
    """Attention with another linear layer stays as it is, since the algebra would leave it out."""
    monkeypatch.setattr(speed_up, 'is_onednn_faster', lambda: not is_other)
    lsa, gcvit, head = LSA(), GCViT(GCVIT), nn.Linear(2, 2)
    attn = lsa.stages[0].blocks[0].attn
    if is_other:
        attn.kv.__class__ = WrappedLinear
    model = nn.ModuleList([lsa, gcvit, head])
    keys = list(model.state_dict())
    speed_up.speed_up(model)
    assert type(attn) is (ShiftAttention if is_other else speed_up.AbsorbedShiftAttention)
    linear_type = nn.Linear if is_other else speed_up.OneDNNLinear
    assert type(gcvit.stages[0].blocks[0].attn.qkv) is linear_type
    assert type(head) is nn.Linear
    assert list(model.state_dict()) == keys
