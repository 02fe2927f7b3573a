"""Shift attention and global attention beside plain products."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmgcvit.lsa.attention import CHUNK, GlobalAttention, ShiftAttention

from .plain import attention


@st.composite
def heads(draw):
    """(channels, heads, key/value heads)."""
    kv_heads, group, width = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 5))
    return kv_heads * group * width, kv_heads * group, kv_heads


def initialised(attn):
    for parameter in attn.parameters():
        nn.init.normal_(parameter, std=0.5)
    return attn


def plain_shift_attention(attn, copies, norm):
    patches = norm(copies).flatten(1, 3).transpose(0, 1)
    return attention(attn, patches[:, :1], patches).squeeze(1).unflatten(0, copies.shape[1:4])


@settings(max_examples=25)
@given(heads=heads(), num_copies=st.integers(1, 5), size=st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_shift_attention_is_that_of_each_patchs_copies(heads, num_copies, size):
    """With any number of heads in groups of any size, at batch 1 too."""
    attn, norm = initialised(ShiftAttention(*heads)), nn.LayerNorm(heads[0])
    copies = torch.randn(num_copies, 1, *size, heads[0])
    torch.testing.assert_close(
        attn(copies[0], copies, norm), plain_shift_attention(attn, copies, norm), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize('num_kv_heads', [4, 1])
def test_inference_in_parts_is_the_same(num_kv_heads):
    """Within 1e-5, of so many patches that they are taken in three parts, the last a smaller one."""
    attn, norm = ShiftAttention(64, 4, num_kv_heads), nn.LayerNorm(64)
    copies = torch.randn(10, 2, 40, 60, 64)
    assert 2 < copies.numel() / CHUNK < 3
    with torch.no_grad():
        in_parts = attn(copies[0], copies, norm)
    torch.testing.assert_close(in_parts, attn(copies[0], copies, norm).detach(), atol=1e-5, rtol=0)


@settings(max_examples=25)
@given(heads=heads(), batch=st.integers(1, 3), windows=st.integers(1, 3), tokens=st.integers(1, 6))
def test_global_attention_is_that_of_a_windows_tokens(heads, batch, windows, tokens):
    attn = initialised(GlobalAttention(*heads))
    x = torch.randn(batch, windows, tokens, heads[0])
    torch.testing.assert_close(attn(x), attention(attn, x, x), atol=1e-4, rtol=1e-4)


def test_no_keys_or_values_of_copies_are_kept_for_the_backward_pass():
    """Beside the normalised copies themselves, nothing as large as they are."""
    attn, norm = ShiftAttention(32, 4, 4), nn.LayerNorm(32)
    copies = torch.randn(16, 1, 20, 20, 32, requires_grad=True)
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        attn(copies[0], copies, norm)
    stack = copies.numel() * 4
    assert [size for size in kept.values() if size >= stack] == [stack, stack]  # what the norm got, what it gave
