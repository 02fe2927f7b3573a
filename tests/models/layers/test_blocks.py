"""Test the layers of blocks other than attention (norms, layer scale, drop path)."""

import pytest
import torch
from torch import nn

from mmgcvit.models.layers import DropPath
from mmgcvit.models.layers.blocks import LayerNorm, make_branch_end

from ...conftest import HALF_DTYPES


@pytest.mark.parametrize('shape', [(1, 1, 4), (4,)])
@pytest.mark.parametrize('rate', [0.0, 0.25, 0.75])
def test_drop_path_drops_images_at_its_rate_in_training_only(rate, shape, device):
    """Kept images are scaled, so that the mean stays."""
    drop_path = DropPath(rate).to(device)
    branch = torch.ones(4096, *shape, device=device)
    found = drop_path(branch)
    is_dropped = (found == 0).flatten(1).all(1)
    assert torch.equal(found[~is_dropped], branch[~is_dropped] / (1 - rate))
    assert abs(is_dropped.float().mean().item() - rate) <= 0.04  # six standard deviations
    assert torch.equal(drop_path.eval()(branch), branch)


def test_layer_scale_and_drop_path_keep_the_keys_of_checkpoints():
    """In the first checkpoints, a module held both."""
    assert list(make_branch_end(4, 0.1, 0.5).state_dict()) == ['layer_scale.gamma']
    assert list(make_branch_end(4, None, 0.5).state_dict()) == []


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
