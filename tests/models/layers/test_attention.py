"""Attention equals its definition and uses fused kernels.

Its precision on each device: contract/test_backbones.py.
"""

import itertools

import pytest
import torch
from packaging.version import Version

from mmgcvit.host.device import disable_cudnn_attention
from mmgcvit.models.layers import attention
from mmgcvit.models.layers.attention import attend, compute_attention_weights

from ..operators import record_operators

B = 2
WINDOWS = 3
HEADS = 4
TOKENS = 9
DIM = 8


def arguments():
    """Return q, k, v and a bias."""
    return [*torch.randn(3, B, WINDOWS, HEADS, TOKENS, DIM), torch.randn(HEADS, TOKENS, TOKENS)]


@pytest.mark.skipif(
    Version(torch.__version__) < Version('2.2'), reason='the kernel takes a bias from torch 2.2 on'
)
def test_inference_runs_the_fused_kernel_on_the_cpu():
    q, k, v, bias = arguments()
    for given_bias in (bias, None):
        with torch.no_grad():
            called = record_operators(lambda given_bias=given_bias: attend(q, k, v, given_bias))
        assert any('flash' in name for name in called)
        assert 'aten::softmax' not in called


def test_attention_is_its_definition_also_with_more_windows_than_a_launch_takes(monkeypatch):
    q, k, v, trained_bias = arguments()
    scores = q @ k.transpose(-1, -2) / DIM**0.5 + trained_bias
    weights = compute_attention_weights(q, k, trained_bias)
    torch.testing.assert_close(weights, scores.softmax(-1))
    options = itertools.product([1, 2, 5, 6, 7], [q, q[:, :1]], [None, trained_bias])
    for size, queries, bias in options:
        monkeypatch.setitem(attention.MAX_BATCH, 'cpu', size)
        weights = compute_attention_weights(queries, k, bias)
        expected = (weights @ v).transpose(2, 3).flatten(3)  # with merged heads
        torch.testing.assert_close(attend(queries, k, v, bias), expected)


@pytest.mark.parametrize('queries_are_shared', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_training_on_the_cpu_equals_torchs_attention_without_its_search(dtype, queries_are_shared):
    """torch looks for queries whose keys are all masked (``all``, ``where``); outputs and gradients
    are as with this search but for rounding: torch scales queries and keys, we scale queries.
    """
    inputs = [each.to(dtype) for each in arguments()]
    if queries_are_shared:
        inputs[0] = inputs[0][:, :1]
    results = []
    for lacks_kernel in (attention.lacks_kernel, lambda v, bias: False):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(attention, 'lacks_kernel', lacks_kernel)
            copies = [each.clone().requires_grad_() for each in inputs]
            called = record_operators(lambda copies=copies: results.append([attend(*copies)]))
            results[-1][0].square().sum().backward()
        results[-1] += [each.grad for each in copies]
        if lacks_kernel is attention.lacks_kernel:
            assert not {'aten::all', 'aten::where', 'aten::scaled_dot_product_attention'} & called
    for ours, torchs in zip(*results, strict=True):
        # Each is a sum of fewer than 100 products, each of which is rounded a few times.
        bound = 100 * torch.finfo(dtype).eps * torchs.abs().max()
        torch.testing.assert_close(ours, torchs, rtol=0, atol=float(bound))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_cuda_runs_the_memory_efficient_kernel_with_a_bias(dtype):
    """Identify the kernel by the profiler's operator names, which differ for cuDNN and math."""
    disable_cudnn_attention()
    for window, trained in itertools.product([7, 14, 15, 16, 17, 24], [True, False]):
        tokens = window**2
        q, k, v = torch.randn(3, 2, 3, 2, tokens, 32, device='cuda', dtype=dtype)
        bias = torch.randn(2, tokens, tokens, device='cuda', dtype=dtype, requires_grad=trained)
        called = record_operators(lambda operands=(q, k, v, bias): attend(*operands))
        assert 'aten::_scaled_dot_product_efficient_attention' in called, (window, trained)
