"""Test bicubic resizing by two matrices: equal to torch's, deterministic, differentiable, cached."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgcvit.models.layers.resizing import resize

from ...conftest import DEVICES

sides = st.integers(1, 60)


def torchs(x, size):
    return F.interpolate(x, size=size, mode='bicubic', align_corners=False)


@settings(max_examples=50)
@given(source=st.tuples(sides, sides), target=st.tuples(sides, sides))
@pytest.mark.parametrize('device', DEVICES)
def test_resizing_equals_torchs_at_any_size(source, target, device):
    """Values near 1 agree within 1e-5, and so do gradients."""
    x = torch.rand(2, 3, *source, device=device, requires_grad=True)
    weights = torch.rand(2, 3, *target, device=device)
    found, expected = resize(x, target), torchs(x, target)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad((out * weights).sum(), x)[0] for out in (found, expected)]
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_float32_rounded(dtype, device):
    x = torch.rand(2, 3, 13, 17, device=device).to(dtype)
    assert torch.equal(resize(x, (7, 7)), resize(x.float(), (7, 7)).to(dtype))
    with torch.autocast(device, torch.bfloat16):
        assert torch.equal(resize(x.float(), (7, 7)), resize(x.float(), (7, 7)))
        assert resize(x.float(), (7, 7)).dtype is torch.float32
