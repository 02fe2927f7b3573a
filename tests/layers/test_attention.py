"""Attention: equal to its definition, and on the CPU computed by the fused kernel."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from mmgcvit.layers import attend, heads_in, heads_out

B, WINDOWS, HEADS, TOKENS, DIM = 2, 3, 4, 9, 8


def plain_attention(q, k, v, bias):
    """The definition, as three products."""
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + bias
    return scores.softmax(-1) @ v


@pytest.mark.parametrize('q_windows', [WINDOWS, 1])
def test_attend_equals_its_definition(q_windows):
    q = torch.randn(B, q_windows, HEADS, TOKENS, DIM)
    k, v = torch.randn(2, B, WINDOWS, HEADS, TOKENS, DIM)
    bias = torch.randn(HEADS, TOKENS, TOKENS)
    torch.testing.assert_close(attend(q, k, v, bias), plain_attention(q, k, v, bias))


def test_attend_runs_the_fused_kernel_on_the_cpu():
    q, k, v = torch.randn(3, B, WINDOWS, HEADS, TOKENS, DIM)
    with profile(activities=[ProfilerActivity.CPU]) as profiled, torch.no_grad():
        attend(q, k, v, torch.randn(HEADS, TOKENS, TOKENS))
    assert any('flash' in event.name for event in profiled.events())


def test_heads_are_split_part_major_then_head_major_and_joined_again():
    x = torch.arange(2 * HEADS * DIM).expand(B, WINDOWS, TOKENS, -1)
    k, v = heads_in(x, HEADS, parts=2)
    assert k.shape == (B, WINDOWS, HEADS, TOKENS, DIM)
    assert v[0, 0, 1, 0].tolist() == list(range(HEADS * DIM + DIM, HEADS * DIM + 2 * DIM))
    assert torch.equal(torch.cat([heads_out(k), heads_out(v)], -1), x)
