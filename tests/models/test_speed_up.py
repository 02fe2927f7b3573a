"""The faster linear layers compute what torch's compute, in outputs and gradients.

Attention: lsa/test_attention.py.
"""

import pytest
import torch
from torch import nn

from mmgcvit import LSA, GCViT
from mmgcvit.models import speed_up
from mmgcvit.models.lsa.attention import ShiftAttention

from .contract.backbones import GCVIT
from .layers.test_attention import record_operators


def test_linear_layers_by_onednn_equal_torchs(monkeypatch):
    monkeypatch.setattr(speed_up, 'MIN_ONEDNN_ELEMENTS', 0)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    for shape in [(7,), (5, 7), (2, 5, 7), (2, 3, 4, 7), (2, 3, 4, 5, 7), (0, 3, 7), (2, 0, 7)]:
        for bias in (True, False):
            layer, results = speed_up.OneDNNLinear(7, 6, bias=bias), []
            for call in (speed_up.OneDNNLinear.forward, nn.Linear.forward):
                x = (
                    torch.arange(float(torch.Size(shape).numel()))
                    .reshape(shape)
                    .sin()
                    .requires_grad_()
                )
                out = call(layer, x)
                results.append(
                    (out, torch.autograd.grad(out.square().sum(), [x, *layer.parameters()]))
                )
            torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)
    layer, x = speed_up.OneDNNLinear(7, 6), torch.randn(5, 7)
    assert 'aten::conv2d' in record_operators(lambda: layer(x))


@pytest.mark.parametrize('has_lora', [False, True])
@pytest.mark.parametrize('is_onednn_faster', [False, True])
def test_only_backbones_of_this_package_are_sped_up(has_lora, is_onednn_faster, monkeypatch):
    """Attention with LoRA stays as it is, since the algebra would leave LoRA out."""
    monkeypatch.setattr(speed_up, 'is_onednn_faster', lambda: is_onednn_faster)
    model = nn.ModuleDict(
        {'backbone': LSA(lora_rank=2 * has_lora), 'gcvit': GCViT(GCVIT), 'head': nn.Linear(2, 2)}
    )
    keys = list(model.state_dict())
    speed_up.speed_up(model)
    attention_type = ShiftAttention if has_lora else speed_up.AbsorbedShiftAttention
    assert type(model.backbone.stages[0].blocks[0].attn) is attention_type
    linear_type = speed_up.OneDNNLinear if is_onednn_faster else nn.Linear
    assert type(model.gcvit.stages[0].blocks[0].attn.qkv) is linear_type
    assert type(model.head) is nn.Linear
    assert list(model.state_dict()) == keys
