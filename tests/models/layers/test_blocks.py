"""Test the layers of blocks other than attention (norms, MLP, residual branch) and their initial weights."""

import pytest
import torch
from torch import nn

from mmgcvit.models.layers import ResidualConnection
from mmgcvit.models.layers.autocast import cast_weights_together
from mmgcvit.models.layers.blocks import LayerNorm, Mlp, draw_drop_path
from mmgcvit.models.layers.linear import Linear

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


class Part(nn.Module):
    """A part of a network whose weights are cast together, and which may turn autocast off."""

    def __init__(self, inner, enabled):
        super().__init__()
        self.inner, self.enabled = inner, enabled

    @cast_weights_together
    def forward(self, x, scale=1):
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.enabled):
            return self.inner(x) * scale


@pytest.mark.parametrize('inner', [Mlp(4, 8), nn.Identity(), nn.Linear(4, 4)])
def test_a_part_without_autocast_computes_in_float32(inner, device):
    part, x = Part(inner, enabled=False).to(device), torch.randn(2, 3, 3, 4, device=device)
    expected = part(x)
    with torch.autocast(device, torch.bfloat16):
        torch.testing.assert_close(part(x, scale=1), expected, atol=0, rtol=0)


def test_frozen_and_unused_weights_get_no_gradients(device):
    part, x = Part(Mlp(4, 8), enabled=True).to(device), torch.randn(2, 3, 3, 4, device=device)
    part.inner.unused = Linear(4, 4).to(device)
    part.inner.fc1.requires_grad_(False)
    need_gradients = []
    part.inner.act.register_forward_hook(lambda layer, inputs, output: need_gradients.append(output.requires_grad))
    with torch.autocast(device, torch.bfloat16):
        part(x).float().sum().backward()
    assert need_gradients == [False]
    with_gradient = [name for name, parameter in part.named_parameters() if parameter.grad is not None]
    assert with_gradient == ['inner.fc2.weight', 'inner.fc2.bias']


def test_a_part_may_choose_another_dtype_and_float64_stays(device):
    part, x = Part(Mlp(4, 8), enabled=True).to(device), torch.randn(2, 3, 3, 4, device=device)
    with torch.autocast(device, torch.bfloat16):
        expected = part(x)
    with torch.autocast(device, torch.float16):  # the part computes in bfloat16
        assert torch.equal(part(x), expected)
        assert part.double()(x.double()).dtype is torch.float64
