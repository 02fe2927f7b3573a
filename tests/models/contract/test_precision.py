"""Every backbone under autocast: near float32, and finite with weights and images far larger than usual."""

import pytest
import torch

from ...conftest import HALF_DTYPES
from .backbones import BACKBONES

LOW = pytest.mark.parametrize('dtype', HALF_DTYPES)


@pytest.fixture(params=BACKBONES)
def model(request, device):
    return BACKBONES[request.param][0](drop_path_rate=0.0).to(device)


@LOW
def test_autocast_is_within_2_percent_of_float32(model, dtype, device):
    """Of each map: the mean error relative to the mean size."""
    images = torch.randn(2, 3, 96, 130, device=device)
    with torch.no_grad():
        expected = model.eval()(images)
        with torch.autocast(device, dtype=dtype):
            maps = model(images)
    for found, wanted in zip(maps, expected, strict=True):
        assert (found.float() - wanted).norm() <= 2e-2 * wanted.norm()


@LOW
def test_large_weights_and_images_stay_finite(model, dtype, device):
    """All weights times 8, images times 100: outputs in inference and training; gradients too, but for fp16's, which
    are beyond its range and the loss scaler's to find out.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)
    images = 100 * torch.randn(2, 3, 96, 130, device=device)
    with torch.no_grad(), torch.autocast(device, dtype=dtype):
        inferred = model.eval()(images)
    with torch.autocast(device, dtype=dtype):
        trained = model.train()(images)
    sum(found.float().abs().mean() for found in trained).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    results = (*inferred, *trained) if dtype is torch.float16 else (*inferred, *trained, *gradients)
    assert all(torch.isfinite(x).all() for x in results)
