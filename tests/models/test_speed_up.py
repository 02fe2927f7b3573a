"""The faster linear layers compute what torch's compute, in outputs and gradients.

Attention: lsa/test_attention.py.
"""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmgcvit import LSA, GCViT
from mmgcvit.models import speed_up
from mmgcvit.models.lsa.attention import ShiftAttention

from .contract.backbones import GCVIT
from .layers.test_attention import record_operators


@pytest.mark.parametrize('shape', [(7,), (5, 7), (2, 3, 4, 5, 7)])
@pytest.mark.parametrize('bias', [True, False])
def test_linear_layers_by_onednn_equal_torchs(shape, bias, monkeypatch):
    monkeypatch.setattr(speed_up, 'MIN_ONEDNN_ELEMENTS', 0)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    layer, x = speed_up.OneDNNLinear(7, 6, bias=bias), torch.randn(shape, requires_grad=True)
    results = []
    for compute in (layer, partial(F.linear, weight=layer.weight, bias=layer.bias)):
        out = compute(x)
        results.append((out, torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])))
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)
    assert 'aten::conv2d' in record_operators(lambda: layer(x))


class WrappedLinear(nn.Linear):
    """A layer that computes something else, as those with LoRA."""


@pytest.mark.parametrize('is_wrapped', [False, True])
@pytest.mark.parametrize('is_onednn_faster', [False, True])
def test_only_backbones_of_this_package_are_sped_up(is_wrapped, is_onednn_faster, monkeypatch):
    """Attention with another linear layer stays as it is, since the algebra would leave it out."""
    monkeypatch.setattr(speed_up, 'is_onednn_faster', lambda: is_onednn_faster)
    lsa, gcvit, head = LSA(), GCViT(GCVIT), nn.Linear(2, 2)
    attn = lsa.stages[0].blocks[0].attn
    if is_wrapped:
        attn.kv.__class__ = WrappedLinear
    model = nn.ModuleList([lsa, gcvit, head])
    keys = list(model.state_dict())
    speed_up.speed_up(model)
    assert type(attn) is (ShiftAttention if is_wrapped else speed_up.AbsorbedShiftAttention)
    linear_type = speed_up.OneDNNLinear if is_onednn_faster else nn.Linear
    assert type(gcvit.stages[0].blocks[0].attn.qkv) is linear_type
    assert type(head) is nn.Linear
    assert list(model.state_dict()) == keys
