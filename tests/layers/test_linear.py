"""The linear layer: nn.Linear, whichever library computes it."""

import pytest
import torch
from torch import nn

from mmgcvit.layers import Linear, linear


@pytest.fixture(params=[True, False], ids=['as convolution', 'as it is'])
def as_convolution(request, monkeypatch):
    monkeypatch.setattr(linear, 'mkl_is_slow', lambda: request.param)
    monkeypatch.setattr(linear, 'LEAST', 0)
    return request.param


@pytest.mark.parametrize('shape', [(7,), (5, 7), (2, 5, 7), (2, 3, 4, 7), (2, 3, 4, 5, 7), (0, 3, 7), (2, 0, 7)])
@pytest.mark.parametrize('bias', [True, False])
def test_outputs_and_gradients_are_those_of_torchs_linear(shape, bias, as_convolution):
    ours, torchs = Linear(7, 6, bias=bias), nn.Linear(7, 6, bias=bias)
    torchs.load_state_dict(ours.state_dict())
    results = []
    for layer in (ours, torchs):
        x = torch.arange(float(torch.Size(shape).numel())).reshape(shape).sin().requires_grad_()
        out = layer(x)
        results.append((out, torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])))
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)


def test_a_map_that_is_not_contiguous_serves(as_convolution):
    x, layer = torch.randn(2, 7, 4, 3).permute(0, 2, 3, 1), Linear(7, 6)
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_other_dtypes_serve(dtype, as_convolution):
    x, layer = torch.randn(2, 5, 7, dtype=dtype), Linear(7, 6).to(dtype)
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize(
    ('cpuinfo', 'mkl', 'slow'),
    [
        ('vendor_id\t: GenuineIntel\n', True, False),
        ('vendor_id\t: AuthenticAMD\n', True, True),
        ('vendor_id\t: AuthenticAMD\n', False, False),
        (None, True, False),
    ],
)
def test_the_processor_decides(cpuinfo, mkl, slow, tmp_path, monkeypatch):
    """Only where torch has MKL, and the processor is known not to be Intel's."""
    file = tmp_path / 'cpuinfo'
    if cpuinfo:
        file.write_text(cpuinfo)
    monkeypatch.setattr(linear, 'CPUINFO', file)
    monkeypatch.setattr(torch.backends.mkl, 'is_available', lambda: mkl)
    assert linear.mkl_is_slow.__wrapped__() is slow
