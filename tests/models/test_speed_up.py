"""Which layers become faster ones. That they compute the same: contract/test_plain.py."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmgcvit import LSA, GCViT
from mmgcvit.errors import UserError
from mmgcvit.models import speed_up
from mmgcvit.models.layers.lora import LoRALinear
from mmgcvit.models.layers.position import RelativePositionBias
from mmgcvit.models.lsa.attention import ShiftAttention

from .contract.backbones import BACKBONES, GCVIT
from .operators import record_operators


def test_linear_layers_of_large_inputs_are_convolutions(monkeypatch):
    """With more than one thread."""
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    # 64 * 10240 is MIN_ONEDNN_ELEMENTS; 512 rows are MIN_ONEDNN_ROWS.
    for channels, largest_small in ((64, 10240), (2048, 512)):
        layer = speed_up.OneDNNLinear(nn.Linear(channels, 6))
        for length in (largest_small, largest_small + 1):
            x = torch.rand(length, channels)
            called = record_operators(lambda layer=layer, x=x: layer(x))
            assert ('aten::conv2d' in called) == (length > largest_small)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 1)
    assert 'aten::conv2d' not in record_operators(lambda: layer(x))


@given(st.tuples(*[st.integers(1, 9)] * 2), st.integers(1, 3))
@settings(max_examples=30)
def test_an_unfolded_position_bias_is_the_looked_up_one_and_has_its_gradient(window, num_heads):
    bias = RelativePositionBias(window, num_heads).double()
    table = bias.relative_position_bias_table
    looked_up = bias()
    upstream = torch.rand_like(looked_up)
    (expected,) = torch.autograd.grad(looked_up, table, upstream)
    faster = speed_up.UnfoldedPositionBias(bias)
    unfolded = faster()
    assert torch.equal(unfolded, looked_up)
    (gradient,) = torch.autograd.grad(unfolded, table, upstream)
    torch.testing.assert_close(gradient, expected)


def test_a_position_bias_is_unfolded_only_for_a_gradient():
    model = GCViT(GCVIT)
    speed_up.speed_up(model)
    bias = model.stages[0].blocks[0].attn.position
    for is_trained in (True, False):
        bias.requires_grad_(is_trained)
        assert ('aten::unfold' in record_operators(bias)) == is_trained


@pytest.mark.parametrize('linear_kernel', [None, 'mkl', 'onednn'])
@pytest.mark.parametrize('has_lora', [False, True])
def test_only_backbones_of_this_package_are_sped_up(has_lora, linear_kernel):
    """Attention with LoRA stays as it is, since the algebra would leave LoRA out, and so do its
    linear layers.
    """
    lsa = LSA(lora_rank=2 if has_lora else 0)
    gcvit = GCViT(GCVIT)
    head = nn.Linear(2, 2)
    model = nn.ModuleList([lsa, gcvit, head])
    speed_up.speed_up(model, linear_kernel)
    attn = lsa.stages[0].blocks[0].attn
    assert type(attn) is (ShiftAttention if has_lora else speed_up.AbsorbedShiftAttention)
    linear_type = speed_up.OneDNNLinear if linear_kernel == 'onednn' else nn.Linear
    assert type(attn.kv) is (LoRALinear if has_lora else linear_type)
    assert type(gcvit.stages[0].blocks[0].attn.qkv) is linear_type
    assert type(model[2]) is nn.Linear


@pytest.mark.parametrize('name', ['gcvit_lora', 'lsa', 'lsa_no_shifts'])
def test_faster_layers_have_the_parameters_of_the_replaced_ones(name):
    """An optimizer that was built before trains them. No random number is used, and a second call
    replaces nothing.
    """
    model = BACKBONES[name](frozen_stages=1)
    parameters = list(model.named_parameters())
    buffers = list(model.named_buffers())
    keys = list(model.state_dict())
    training = {name: module.training for name, module in model.named_modules()}
    generator = torch.get_rng_state()
    speed_up.speed_up(model, 'onednn')
    assert torch.equal(torch.get_rng_state(), generator)
    for before, after in [
        (parameters, model.named_parameters()),
        (buffers, model.named_buffers()),
    ]:
        for (old_name, old), (new_name, new) in zip(before, after, strict=True):
            assert old_name == new_name
            assert old is new
    assert list(model.state_dict()) == keys
    modules = dict(model.named_modules())
    assert {name: module.training for name, module in modules.items()} == training
    speed_up.speed_up(model, 'onednn')
    assert all(module is modules[name] for name, module in model.named_modules())


def test_torchs_own_choice_computes_linear_layers_unless_another_is_named():
    assert speed_up.choose_linear_kernel() == 'mkl'
    assert speed_up.choose_linear_kernel('onednn') == 'onednn'


def test_an_unknown_linear_kernel_is_refused_with_the_allowed_ones():
    with pytest.raises(UserError, match=r"linear_kernel is 'MKL'. Choose one of mkl, onednn"):
        speed_up.speed_up(nn.Linear(1, 1), 'MKL')
