"""Test the layers of blocks other than attention (norms, MLP, residual branch) and their initial weights."""

import pytest
import torch
from torch import nn

from mmgcvit.models.layers import ResidualConnection
from mmgcvit.models.layers.autocast import cast_weights_together
from mmgcvit.models.layers.blocks import LayerNorm, Mlp
from mmgcvit.models.layers.linear import Linear

from ...conftest import HALF_DTYPES


def test_drop_path_drops_whole_images_in_training_only(device):
    x, branch = torch.zeros(64, 2, 2, 4, device=device), torch.ones(64, 2, 2, 4, device=device)
    join = ResidualConnection(4, layer_scale=None, drop_path_rate=0.5)
    values = join(x, branch).flatten(1)
    assert set(values.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(values.min(1).values, values.max(1).values)
    assert torch.equal(join.eval()(x, branch), branch)


@pytest.mark.parametrize('layer_scale', [None, 0.1])
def test_residual_connection_equals_its_formula(layer_scale, device):
    """Random numbers are the same; the gradients of both maps and of layer scale are compared too."""

    def compute(x, branch):
        factors = torch.empty(16, 1, 1, 1, device=device).bernoulli_(0.5) / 0.5 if join.training else 1
        return x + branch * (join.layer_scale.gamma if layer_scale else 1) * factors

    join = ResidualConnection(4, layer_scale, drop_path_rate=0.5).to(device)
    for training in (True, False):
        join.train(training)
        results = []
        for function in (join, compute):
            torch.manual_seed(0)
            x, branch = torch.arange(2 * 16 * 2 * 3 * 4.0, device=device).cos().view(2, 16, 2, 3, 4).requires_grad_()
            out = function(x, branch)
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
