"""LayerNorm: nn.LayerNorm, and precise under autocast."""

import pytest
import torch
from torch import nn

from mmgcvit.models.layers import LayerNorm

from ...conftest import HALF_DTYPES


@pytest.mark.parametrize('dtype', HALF_DTYPES)
def test_gradients_of_half_precision_maps_add_up_in_float32(dtype, device):
    """Thousands of small gradients, of which torch's own norm on a CPU loses most; within 1 percent."""
    x = torch.randn(2, 96, 96, 16, device=device).to(dtype)
    gradients = []
    for norm, given in ((LayerNorm(16).to(device), x), (nn.LayerNorm(16).to(device), x.float())):
        with torch.autocast(device, dtype=dtype, enabled=given is x):
            out = norm(given)
        assert out.dtype is torch.float32
        out.abs().mean().backward()
        gradients.append(norm.weight.grad)
    torch.testing.assert_close(*gradients, atol=0, rtol=1e-2)


def test_a_model_in_half_precision_stays_in_it():
    assert LayerNorm(16).bfloat16()(torch.randn(2, 16).bfloat16()).dtype is torch.bfloat16
