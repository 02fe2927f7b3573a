"""The residual branch: layer scale and drop path."""

import pytest
import torch

from mmgcvit.models.layers import Mlp, ResidualConnection


def test_layer_scale_weighs_the_branch():
    x, branch = torch.rand(2, 2, 3, 3, 4)
    joined = ResidualConnection(4, layer_scale=0.5, drop_path_rate=0.0)(x, branch)
    torch.testing.assert_close(joined, x + 0.5 * branch)


def test_drop_path_drops_whole_images_in_training_only(device):
    x, branch = torch.zeros(64, 2, 2, 4, device=device), torch.ones(64, 2, 2, 4, device=device)
    join = ResidualConnection(4, layer_scale=None, drop_path_rate=0.5)
    values = join(x, branch).flatten(1)
    assert set(values.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(values.min(1).values, values.max(1).values)
    assert torch.equal(join.eval()(x, branch), branch)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('layer_scale', [None, 0.1])
def test_one_pass_over_the_maps_computes_what_the_layers_compute_one_by_one(layer_scale, training, device):
    """With the same random numbers, gradients of layer scale included."""
    join = ResidualConnection(4, layer_scale, drop_path_rate=0.5).to(device).train(training)
    results = []
    for function in (join, lambda x, branch: x + join.drop_path(join.layer_scale(branch))):
        torch.manual_seed(0)
        x, branch = torch.arange(2 * 16 * 2 * 3 * 4.0, device=device).cos().view(2, 16, 2, 3, 4).requires_grad_()
        inputs = [x, branch, *join.parameters()]
        out = function(x, branch)
        results.append([out, *torch.autograd.grad(out.square().sum(), inputs)])
    torch.testing.assert_close(*results)


def test_mlp_uses_the_exact_gelu():
    """The tanh approximation is off by 1e-3 somewhere between -3 and 3."""
    mlp = Mlp(1, 1)
    for layer in (mlp.fc1, mlp.fc2):
        torch.nn.init.ones_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    x = torch.linspace(-3, 3, 101)[:, None]
    exact = x * 0.5 * (1 + torch.erf(x / 2**0.5))
    torch.testing.assert_close(mlp(x), exact, atol=1e-6, rtol=0)
