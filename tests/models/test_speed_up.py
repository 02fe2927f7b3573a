"""Which layers become faster ones. That they compute the same: contract/test_plain.py."""

import os
import sys

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

from ..programs import run
from .contract.backbones import GCVIT
from .operators import record_operators


def test_linear_layers_of_large_inputs_are_convolutions(monkeypatch):
    """With more than one thread."""
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    # 64 * 10240 is MIN_ONEDNN_ELEMENTS; 512 rows are MIN_ONEDNN_ROWS.
    for channels, largest_small in ((64, 10240), (2048, 512)):
        layer = speed_up.OneDNNLinear(channels, 6)
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
    bias.__class__ = speed_up.UnfoldedPositionBias
    unfolded = bias()
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


@pytest.mark.parametrize(
    ('has_mkl', 'instructions', 'branch', 'expected'),
    [
        (True, 'AVX512', 10, 'onednn'),  # a Zen 5
        (True, 'AVX512', 14, 'mkl'),  # a Xeon
        (True, 'AVX512', speed_up.FIRST_AVX512_BRANCH, 'mkl'),
        (True, 'AVX512', speed_up.FIRST_AVX512_BRANCH - 1, 'onednn'),
        (True, 'AVX2', 10, 'mkl'),  # a Zen 3, and older ones of Intel
        (True, 'AVX512', None, 'mkl'),  # torch's library does not say
        (False, 'DEFAULT', None, 'mkl'),  # not an x86-64
    ],
)
def test_onednn_computes_linear_layers_where_only_it_has_avx512(
    has_mkl, instructions, branch, expected, monkeypatch
):
    monkeypatch.setattr(torch.backends.mkl, 'is_available', lambda: has_mkl)
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: instructions)
    monkeypatch.setattr(speed_up, 'get_mkl_branch', lambda: branch)
    speed_up.is_onednn_faster.cache_clear()
    assert speed_up.choose_linear_kernel() == expected
    speed_up.is_onednn_faster.cache_clear()
    assert speed_up.choose_linear_kernel('onednn') == 'onednn'


def test_an_unknown_linear_kernel_is_refused_with_the_allowed_ones():
    with pytest.raises(UserError, match=r"linear_kernel is 'MKL'. Choose one of mkl, onednn"):
        speed_up.speed_up(nn.Linear(1, 1), 'MKL')


@pytest.mark.slow
@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason='torch has no MKL')
def test_mkl_itself_says_which_instructions_it_uses():
    """On any maker's processor it uses AVX2 at most if it is told so."""
    code = 'from mmgcvit.host.private_api import get_mkl_branch; print(get_mkl_branch())'
    environment = {**os.environ, 'MKL_ENABLE_INSTRUCTIONS': 'AVX2'}
    ended = run([sys.executable, '-c', code], environment)
    assert int(ended.stdout) < speed_up.FIRST_AVX512_BRANCH
