"""Test the layers of blocks other than attention (norms, MLP, residual branch) and their initial weights."""

import pytest
import torch
from torch import nn

from mmgcvit.models.layers import ResidualConnection
from mmgcvit.models.layers.blocks import LayerNorm

from ...conftest import HALF_DTYPES


@pytest.mark.parametrize('rate', [0.0, 0.25, 0.75])
def test_drop_path_drops_images_at_its_rate_in_training_only(rate, device):
    join = ResidualConnection(4, drop_path_rate=rate).to(device)
    x, branch = torch.zeros(4096, 1, 1, 4, device=device), torch.ones(4096, 1, 1, 4, device=device)
    factors = join(x, branch)
    dropped = (factors == 0).all(-1).flatten()
    assert torch.equal(factors[~dropped], branch[~dropped] / (1 - rate))
    assert abs(dropped.float().mean().item() - rate) <= 0.04  # six standard deviations
    assert torch.equal(join.eval()(x, branch), branch)


@pytest.mark.parametrize('layer_scale', [None, 0.1])
@pytest.mark.parametrize('rate', [0.0, 0.5])
def test_residual_connection_equals_its_formula(layer_scale, rate, device):
    """The gradients of both maps and of layer scale are compared too."""
    join = ResidualConnection(4, layer_scale, rate).to(device)
    inputs = torch.arange(2 * 16 * 2 * 3 * 4.0, device=device).cos().view(2, 16, 2, 3, 4).requires_grad_()
    torch.manual_seed(0)
    drop_path = torch.bernoulli(torch.full((16, 1, 1, 1), 1 - rate, device=device)) / (1 - rate) if rate else 1
    expected = inputs[0] + inputs[1] * (join.layer_scale.gamma if layer_scale else 1) * drop_path
    torch.manual_seed(0)
    leaves = [inputs, *join.parameters()]
    found = join(*inputs)
    results = [[out, *torch.autograd.grad(out.square().sum(), leaves)] for out in (found, expected)]
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
