"""Test LSA: its arguments, the plain formulation, and the published network's figures and outputs.

What every backbone must do is in tests/models/contract.
"""

import pytest
import torch
from torch import nn

from mmgcvit import LSA
from mmgcvit.models.speed_up import speed_up
from tools.get_flops import count_macs, count_parameters

from ..contract.backbones import LSA_ARCH, compute_maps_and_gradients
from .plain import PlainLSA

SMALL = {
    **LSA_ARCH,
    'embed_dims': (16, 24, 32),
    'depths': (3, 1, 2),
    'num_heads': (2, 4, 4),
    'img_size': 48,
}
SMALL['shifts'] = ((0, 0), (0, 2), (-1, 1), (3, -2))
VARIANTS = {
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


@pytest.mark.parametrize('is_faster', [False, True], ids=['plain', 'speed_up'])
@pytest.mark.parametrize('size', [(48, 48), (33, 47)], ids=str)
@pytest.mark.parametrize('variant', VARIANTS)
def test_outputs_and_gradients_are_those_of_the_plain_formulation(variant, size, is_faster, device):
    """Within 1e-5 of the largest value of each tensor. No weight is initialised to zero."""
    model = LSA({**SMALL, **VARIANTS[variant]}, drop_path_rate=0.0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model, images = model.to(device), torch.randn(2, 3, *size, device=device)
    plain_maps, plain_gradients = compute_maps_and_gradients(PlainLSA(model), images)
    if is_faster:
        speed_up(model)
    maps, gradients = compute_maps_and_gradients(model, images)
    with torch.no_grad():
        inferred = model(images)
    for found, also_found, expected in zip(maps, inferred, plain_maps, strict=True):
        tolerance = {'atol': 1e-5 * expected.abs().max().item(), 'rtol': 1e-5}
        torch.testing.assert_close(found, expected, **tolerance)
        torch.testing.assert_close(also_found, expected, **tolerance)
    largest = max(gradient.abs().max().item() for gradient in plain_gradients)
    torch.testing.assert_close(gradients, plain_gradients, atol=1e-5 * largest, rtol=1e-4)


@pytest.mark.parametrize(('arch', 'published'), [('imagenet-tiny', 3.43), ('imagenet-small', 7.69)])
def test_multiply_adds_of_the_plain_formulation_at_224_px_are_the_published(arch, published):
    """In billions, within 0.5 %. The metafiles have what the commands compute."""
    with torch.device('meta'):
        model, image = PlainLSA(LSA(arch).eval()), torch.empty(1, 3, 224, 224)
    assert count_macs(lambda: model(image)) / 1e9 == pytest.approx(published, rel=0.005)


def test_parameters_of_a_published_ablation_to_the_digit():
    """Row E of table 5: one position embedding, all key/value heads. A classifier has the last
    map's norm and a head.

    The metafiles have the parameters of all other published networks.
    """
    with torch.device('meta'):
        backbone = LSA(
            {**vars(LSA.archs['cifar-tiny']), 'shared_position': True, 'num_kv_heads': None}
        )
        head = nn.Linear(backbone.stage_dims[-1], 10)
    norms = 2 * sum(backbone.stage_dims[:-1])
    assert count_parameters(backbone) - norms + count_parameters(head) == 7_577_674
