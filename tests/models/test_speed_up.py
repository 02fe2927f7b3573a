"""Which layers become faster ones. That they compute the same: contract/test_plain.py."""

import pytest
import torch
from torch import nn

from mmgcvit import LSA, GCViT
from mmgcvit.models import speed_up
from mmgcvit.models.layers.lora import LoRALinear
from mmgcvit.models.lsa.attention import ShiftAttention

from .contract.backbones import GCVIT
from .operators import record_operators


def test_linear_layers_of_large_inputs_are_convolutions(monkeypatch):
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    layer = speed_up.OneDNNLinear(8, 6)
    for length in (2560, 2561):  # 8 * 2560 is MIN_ONEDNN_ELEMENTS
        called = record_operators(lambda length=length: layer(torch.rand(length, 8)))
        assert ('aten::conv2d' in called) == (length > 2560)


@pytest.mark.parametrize('is_onednn_faster', [False, True])
@pytest.mark.parametrize('has_lora', [False, True])
def test_only_backbones_of_this_package_are_sped_up(has_lora, is_onednn_faster, monkeypatch):
    """Attention with LoRA stays as it is, since the algebra would leave LoRA out, and so do its
    linear layers.
    """
    monkeypatch.setattr(speed_up, 'is_onednn_faster', lambda: is_onednn_faster)
    lsa = LSA(lora_rank=2 if has_lora else 0)
    gcvit = GCViT(GCVIT)
    head = nn.Linear(2, 2)
    attn = lsa.stages[0].blocks[0].attn
    model = nn.ModuleList([lsa, gcvit, head])
    keys = list(model.state_dict())
    speed_up.speed_up(model)
    assert type(attn) is (ShiftAttention if has_lora else speed_up.AbsorbedShiftAttention)
    linear_type = speed_up.OneDNNLinear if is_onednn_faster else nn.Linear
    assert type(attn.kv) is (LoRALinear if has_lora else linear_type)
    assert type(gcvit.stages[0].blocks[0].attn.qkv) is linear_type
    assert type(head) is nn.Linear
    assert list(model.state_dict()) == keys
