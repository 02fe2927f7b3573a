"""Attention: equal to its definition, gradients too, and on the CPU computed by the fused kernel."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version
from torch.profiler import ProfilerActivity, profile

from mmgcvit.layers import attend, merge_heads, split_heads, trained_bias

from ..conftest import HALF_DTYPES

B, WINDOWS, HEADS, TOKENS, DIM = 2, 3, 4, 9, 8
needs_operators = pytest.mark.skipif(not trained_bias.OPERATORS_KNOWN, reason='custom operators come with torch 2.4')


def plain_attention(q, k, v, bias):
    """The definition, as three products."""
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + bias
    return scores.softmax(-1) @ v


def arguments(q_windows=WINDOWS, batch=B, windows=WINDOWS, dtype=torch.float32):
    """Leaves that ask for gradients: q, k, v, bias."""
    own = (batch, windows, HEADS, TOKENS, DIM)
    shapes = [(batch, q_windows, HEADS, TOKENS, DIM), own, own, (HEADS, TOKENS, TOKENS)]
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def gradients(function, leaves, weights):
    out = function(*leaves)
    return out.detach(), *torch.autograd.grad((out * weights).sum(), leaves)


def operators_called(function):
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        function()
    return {event.name for event in profiled.events()}


@pytest.mark.parametrize('q_windows', [WINDOWS, 1])
def test_attend_equals_its_definition(q_windows):
    leaves = [leaf.detach() for leaf in arguments(q_windows)]
    torch.testing.assert_close(attend(*leaves), plain_attention(*leaves))


def test_attend_without_a_bias_equals_one_of_zeros():
    q, k, v = torch.randn(3, B, WINDOWS, HEADS, TOKENS, DIM)
    torch.testing.assert_close(attend(q, k, v), plain_attention(q, k, v, 0.0))


@settings(max_examples=20, deadline=None)
@given(
    batch=st.integers(1, 3),
    windows=st.integers(1, 5),
    shared=st.booleans(),
    windows_at_once=st.integers(1, 6),
)
def test_gradients_equal_those_of_the_definition_however_windows_are_chunked(batch, windows, shared, windows_at_once):
    leaves = arguments(1 if shared else windows, batch, windows)
    weights = torch.randn(batch, windows, HEADS, TOKENS, DIM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained_bias, 'CHUNK', windows_at_once * HEADS * TOKENS**2)
        found = gradients(attend, leaves, weights)
    torch.testing.assert_close(found, gradients(plain_attention, leaves, weights), atol=1e-5, rtol=1e-5)


def test_gradients_survive_arguments_and_gradients_of_any_strides():
    packed = torch.randn(B, WINDOWS, TOKENS, 3 * HEADS * DIM, requires_grad=True)
    bias = torch.randn(HEADS, TOKENS, TOKENS, requires_grad=True)
    weights = torch.randn(B, HEADS, TOKENS, DIM, WINDOWS).permute(0, 4, 1, 2, 3)
    found = [
        gradients(lambda x, bias, way=way: way(*split_heads(x, HEADS, 3), bias), [packed, bias], weights)
        for way in (attend, plain_attention)
    ]
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('order', [(0, 1, 2, 4, 3), (1, 0, 2, 3, 4), (0, 1, 3, 2, 4)])
@pytest.mark.parametrize('q_windows', [WINDOWS, 1])
def test_arguments_may_lie_in_memory_in_any_order(order, q_windows):
    """Channels not side by side, windows outside of images, tokens outside of heads."""
    back = sorted(range(5), key=order.__getitem__)
    leaves = arguments(q_windows)
    laid_out = [*(x.detach().permute(order).contiguous().permute(back).requires_grad_() for x in leaves[:3]), leaves[3]]
    weights = torch.randn(B, WINDOWS, HEADS, TOKENS, DIM)
    found, expected = gradients(attend, laid_out, weights), gradients(plain_attention, leaves, weights)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@needs_operators
def test_traced_attention_is_made_of_torchs_own_operators():
    """So that files of traced networks serve without this package."""
    traced = torch.jit.trace(attend, tuple(arguments()))
    assert 'scaled_dot_product_attention' in str(traced.graph)
    assert 'mmgcvit::' not in str(traced.graph)


@pytest.mark.parametrize('dtype', HALF_DTYPES)
@pytest.mark.parametrize('q_windows', [WINDOWS, 1])
def test_gradients_in_half_precision_are_those_of_float32_rounded(dtype, q_windows):
    leaves = [leaf.detach().to(dtype).requires_grad_() for leaf in arguments(q_windows)]
    weights = torch.randn(B, WINDOWS, HEADS, TOKENS, DIM).to(dtype)
    precise = [leaf.detach().float().requires_grad_() for leaf in leaves]
    expected = gradients(plain_attention, precise, weights.float())
    for found, wanted in zip(gradients(attend, leaves, weights), expected, strict=True):
        assert found.dtype is dtype
        torch.testing.assert_close(found.float(), wanted, atol=0.02 * wanted.abs().max().item(), rtol=0.02)


@needs_operators
@pytest.mark.parametrize('q_windows', [WINDOWS, 1])
def test_the_operators_keep_their_promises(q_windows):
    """torch's own checks: schema, shapes and strides without contents, gradients registered, traced with symbols."""
    torch.library.opcheck(trained_bias.forward_operator, tuple(arguments(q_windows)))
    leaves = arguments(q_windows, dtype=torch.float64)
    assert torch.autograd.gradcheck(trained_bias.attend_with_trained_bias, leaves)


@pytest.mark.skipif(Version(torch.__version__) < Version('2.2'), reason='the kernel takes a bias from torch 2.2 on')
@pytest.mark.parametrize('with_bias', [True, False], ids=['bias', 'no bias'])
def test_inference_runs_the_fused_kernel_on_the_cpu(with_bias):
    q, k, v, bias = arguments()
    with torch.no_grad():
        called = operators_called(lambda: attend(q, k, v, bias + 0 if with_bias else None))
    assert any('flash' in name for name in called)
    assert 'aten::softmax' not in called


@needs_operators
@pytest.mark.parametrize('q_windows', [WINDOWS, 1])
def test_training_with_a_bias_runs_the_fused_kernel_on_the_cpu(q_windows):
    leaves = arguments(q_windows)
    called = operators_called(lambda: attend(*leaves).sum().backward())
    assert any('flash' in name for name in called)
    assert not called & {'aten::softmax', 'aten::_softmax', 'aten::_safe_softmax'}


@needs_operators
def test_training_keeps_no_scores():
    """Between the passes nothing of the size of all windows' scores is held: at most the operands once more."""
    leaves = arguments()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        attend(*leaves)
    assert max(x.numel() for x in kept) <= max(leaf.numel() for leaf in leaves)


@needs_operators
def test_shared_queries_are_kept_once_for_an_image():
    leaves = arguments(q_windows=1)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        attend(*leaves)
    assert (B, 1, HEADS, TOKENS, DIM) in {tuple(x.shape) for x in kept}
    assert sum(x.shape == (B, WINDOWS, HEADS, TOKENS, DIM) for x in kept) == 3  # k, v and what comes out


@pytest.mark.parametrize('known', [True, False], ids=['cannot serve', 'old torch'])
def test_where_the_operator_cannot_serve_torchs_own_attention_does(known, monkeypatch):
    monkeypatch.setattr(trained_bias, 'DTYPES', ())
    monkeypatch.setattr(trained_bias, 'OPERATORS_KNOWN', known)
    leaves, weights = arguments(1), torch.randn(B, WINDOWS, HEADS, TOKENS, DIM)
    found = gradients(attend, leaves, weights)
    torch.testing.assert_close(found, gradients(plain_attention, leaves, weights), atol=1e-5, rtol=1e-5)


def test_heads_are_split_chunk_major_then_head_major_and_joined_again():
    x = torch.arange(2 * HEADS * DIM).expand(B, WINDOWS, TOKENS, -1)
    k, v = split_heads(x, HEADS, chunks=2)
    assert k.shape == (B, WINDOWS, HEADS, TOKENS, DIM)
    assert v[0, 0, 1, 0].tolist() == list(range(HEADS * DIM + DIM, HEADS * DIM + 2 * DIM))
    assert torch.equal(torch.cat([merge_heads(k), merge_heads(v)], -1), x)
