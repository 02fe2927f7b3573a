"""Outputs and gradients are those of the plain formulations in float64, of a network as built and
sped up.

Modules: `mmgcvit/models`, `mmgcvit/models/speed_up.py`.
"""

from copy import deepcopy
from functools import partial

import pytest
import torch

from mmgcvit.models import speed_up

from ..gcvit.plain import PlainGCViT
from ..lsa.plain import PlainLSA
from .backbones import GCVIT, LSA_ARCH, compute_maps_and_gradients, small_gcvit, small_lsa

GCVITS = {
    'windows of pretraining': ({}, (224, 224)),
    'padded': ({'window_size': 12}, (75, 101)),
    'several chunks': ({'window_size': (24, 16, 14, 7)}, (208, 330)),
    'smallest images': ({}, (32, 32)),
    'oblong windows': ({'window_size': ((5, 8), 7, (3, 9), 7)}, (96, 130)),
    'layer scale': ({'arch': {**GCVIT, 'layer_scale': 0.5}}, (96, 64)),
}
SMALL = {
    **LSA_ARCH,
    'embed_dims': (16, 24, 32),
    'depths': (3, 1, 2),
    'num_heads': (2, 4, 4),
    'img_size': 48,
    'shifts': ((0, 0), (0, 2), (-1, 1), (3, -2)),
}
LSAS = {
    'circular': {},
    'kernels larger than the stride': {'kernel_size': 7, 'padding': 3},
    'stride 1': {'kernel_size': 3, 'stride': 1, 'padding': 1},
    'stride 7': {'kernel_size': 7, 'stride': 7},
    'one key/value head': {'num_kv_heads': (1, 1, 1)},
    'two key/value heads': {'num_kv_heads': (2, 2, 2)},
    'reflections': {'shift_mode': 'reflect'},
    'one convolution': {'shared_conv': True},
    'one position embedding': {'shared_position': True},
    'no shifts': {'shifts': None},
}
CASES = {
    name: (partial(small_gcvit, **arguments), PlainGCViT, [size])
    for name, (arguments, size) in GCVITS.items()
}
CASES |= {
    name: (partial(small_lsa, {**SMALL, **arch}), PlainLSA, [(48, 48), (33, 47)])
    for name, arch in LSAS.items()
}
for window_size in [(5, (3, 4), 1), (1, 2, (2, 9))]:
    build = partial(small_lsa, SMALL, window_size=window_size)
    CASES[f'windows {window_size}'] = (build, PlainLSA, [(48, 48), (33, 100)])


# Attention to all positions of a map takes longest.
MARKED = [
    pytest.param(case, marks=pytest.mark.slow if case == 'stride 1' else ()) for case in CASES
]


@pytest.mark.parametrize('case', MARKED)
def test_outputs_and_gradients_equal_the_plain_ones(case, device, monkeypatch):
    """Outputs within 1e-5 of a map's largest value; the gradient of each parameter within 1e-4 of
    its norm, and 1e-6 of the largest norm. No weight is initialised to zero.
    """
    build, plain_type, sizes = CASES[case]
    model = build(drop_path_rate=0.0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.2)
    plain = plain_type(deepcopy(model.to(device)).double())
    computed = []
    for size in sizes:
        images = torch.randn(2, 3, *size, device=device)
        maps, gradients = compute_maps_and_gradients(plain, images.double())
        assert_near_plain(model, images, maps, gradients)
        computed.append((images, maps, gradients))
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    monkeypatch.setattr(speed_up, 'MIN_ONEDNN_ELEMENTS', 0)
    monkeypatch.setattr(speed_up, 'MIN_ONEDNN_ROWS', 0)
    speed_up.speed_up(model, 'onednn')
    for images, maps, gradients in computed:
        assert_near_plain(model, images, maps, gradients)


def assert_near_plain(model, images, plain_maps, plain_gradients):
    maps, gradients = compute_maps_and_gradients(model.train(), images)
    with torch.no_grad():
        inferred = model.eval()(images)
    for found, also_found, exact in zip(maps, inferred, plain_maps, strict=True):
        tolerance = {'atol': 1e-5 * exact.abs().max().item(), 'rtol': 1e-5}
        torch.testing.assert_close(found.double(), exact, **tolerance)
        torch.testing.assert_close(also_found.double(), exact, **tolerance)
    largest = max(gradient.norm() for gradient in plain_gradients)
    for found, expected in zip(gradients, plain_gradients, strict=True):
        assert (found - expected).norm() <= 1e-6 * largest + 1e-4 * expected.norm()
