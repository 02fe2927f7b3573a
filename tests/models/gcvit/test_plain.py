"""The fast paths compute what the plain formulation of the network does, outputs and gradients."""

import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.models.layers import cpu

from ..contract.backbones import GCVIT
from .plain import PlainGCViT

CASES = {
    'windows of pretraining': ({}, (2, 3, 224, 224)),
    'padded': ({'window_size': 12}, (2, 3, 75, 101)),
    'one image, several chunks': ({'window_size': (24, 16, 14, 7)}, (1, 3, 208, 330)),
    'smallest image': ({}, (1, 3, 32, 32)),
    'smallest images': ({}, (2, 3, 32, 32)),
    'oblong windows': ({'window_size': ((5, 8), 7, (3, 9), 7)}, (2, 3, 96, 130)),
    'layer scale': ({'arch': {**GCVIT, 'layer_scale': 0.5}}, (2, 3, 96, 64)),
}


@pytest.fixture(params=CASES)
def pair(request, device):
    arguments, shape = CASES[request.param]
    model = GCViT(**{'arch': GCVIT, 'drop_path_rate': 0.0, **arguments})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.2)
    model = model.to(device)
    return model, PlainGCViT(model), torch.randn(shape, device=device)


def test_outputs_of_inference_equal_the_plain_ones(pair):
    """Within 1e-5."""
    fast, plain, images = pair
    with torch.no_grad():
        torch.testing.assert_close(fast.eval()(images), plain(images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('by_convolution', [True, False], ids=['oneDNN', 'MKL'])
def test_outputs_and_gradients_of_training_equal_the_plain_ones(pair, by_convolution, monkeypatch):
    """Outputs within 1e-5; the gradient of each parameter within 1e-4 of its norm."""
    fast, plain, images = pair
    monkeypatch.setattr(cpu, 'mkl_is_slow', lambda: by_convolution)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    results = []
    for model in (fast.train(), plain):
        fast.zero_grad()
        maps = model(images)
        sum((found * waves_like(found)).mean() for found in maps).backward()
        results.append((maps, [parameter.grad.clone() for parameter in fast.parameters()]))
    (fast_maps, fast_gradients), (plain_maps, plain_gradients) = results
    torch.testing.assert_close(fast_maps, plain_maps, atol=1e-5, rtol=1e-5)
    for found, wanted in zip(fast_gradients, plain_gradients, strict=True):
        assert (found - wanted).norm() <= 1e-5 + 1e-4 * wanted.norm()


def waves_like(x):
    """Weights that no norm makes vanish."""
    return torch.arange(x.numel(), device=x.device).reshape(x.shape).sin()
