"""Test the layers of blocks other than attention (norms, MLP, residual branch) and their initial weights."""

import pytest
import torch
from torch import nn

from mmgcvit.models.layers import ResidualConnection
from mmgcvit.models.layers.blocks import LayerNorm, draw_drop_path

from ...conftest import HALF_DTYPES


def test_drop_path_draws_each_branch_with_the_rate_of_its_block_in_training_only(device):
    rates, x = [0.0, 0.75, 0.25], torch.zeros(4096, 1, 1, 4, device=device)
    first, *others = draw_drop_path(rates, x, training=True)
    assert first == (None, None)
    for rate, branches in zip(rates[1:], others, strict=True):
        for factors in branches:
            dropped = factors == 0
            assert factors.shape == (4096, 1, 1, 1)
            assert torch.equal(factors[~dropped], torch.full_like(factors[~dropped], 1 / (1 - rate)))
            assert abs(dropped.float().mean().item() - rate) < 0.04  # six standard deviations
        assert not torch.equal(*branches)
    assert draw_drop_path(rates, x, training=False) == [(None, None)] * 3


@pytest.mark.parametrize('layer_scale', [None, 0.1])
def test_residual_connection_equals_its_formula(layer_scale, device):
    """The gradients of both maps and of layer scale are compared too."""

    def compute(x, branch, factors):
        return x + branch * (join.layer_scale.gamma if layer_scale else 1) * (1 if factors is None else factors)

    join = ResidualConnection(4, layer_scale).to(device)
    for factors in (torch.tensor([0.0, 2.0], device=device).repeat(8).view(16, 1, 1, 1), None):
        results = []
        for function in (join, compute):
            x, branch = torch.arange(2 * 16 * 2 * 3 * 4.0, device=device).cos().view(2, 16, 2, 3, 4).requires_grad_()
            out = function(x, branch, factors)
            results.append([out, *torch.autograd.grad(out.square().sum(), [x, branch, *join.parameters()])])
        torch.testing.assert_close(*results)


@pytest.mark.parametrize('dtype', HALF_DTYPES)
def test_gradients_of_half_precision_maps_accumulate_in_float32(dtype, device):
    """torch's LayerNorm loses most of thousands of small gradients on a CPU; ours is within 1 percent."""
    x = torch.randn(2, 96, 96, 16, device=device).to(dtype)
    gradients = []
    for norm, given in ((LayerNorm(16).to(device), x), (nn.LayerNorm(16).to(device), x.float())):
        with torch.autocast(device, dtype=dtype, enabled=given is x):
            out = norm(given)
        assert out.dtype is torch.float32
        out.abs().mean().backward()
        gradients.append(norm.weight.grad)
    torch.testing.assert_close(*gradients, atol=0, rtol=1e-2)
