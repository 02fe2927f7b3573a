"""Test GC ViT: its arguments and layers, the plain formulation, and the published network's figures
and outputs.

What every backbone must do is in tests/models/contract.
"""

import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.models import speed_up
from mmgcvit.models.gcvit.backbone import compute_drop_path_rates
from mmgcvit.models.gcvit.global_query import count_poolings

from ..contract.backbones import GCVIT, backpropagate, compute_maps_and_gradients
from .plain import PlainGCViT

CASES = {
    'windows of pretraining': ({}, (2, 3, 224, 224)),
    'padded': ({'window_size': 12}, (2, 3, 75, 101)),
    'one image, several chunks': ({'window_size': (24, 16, 14, 7)}, (1, 3, 208, 330)),
    'smallest images': ({}, (2, 3, 32, 32)),
    'oblong windows': ({'window_size': ((5, 8), 7, (3, 9), 7)}, (2, 3, 96, 130)),
    'layer scale': ({'arch': {**GCVIT, 'layer_scale': 0.5}}, (2, 3, 96, 64)),
}


@pytest.mark.parametrize('by_convolution', [True, False], ids=['oneDNN', 'MKL'])
@pytest.mark.parametrize('case', CASES)
def test_outputs_and_gradients_equal_the_plain_ones(case, by_convolution, device, monkeypatch):
    """Outputs within 1e-5; the gradient of each parameter within 1e-4 of its norm, and 1e-7 of the
    largest norm.
    """
    arguments, shape = CASES[case]
    fast = GCViT(**{'arch': GCVIT, 'drop_path_rate': 0.0, **arguments})
    for parameter in fast.parameters():
        torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.2)
    plain, images = PlainGCViT(fast.to(device)), torch.randn(shape, device=device)
    monkeypatch.setattr(speed_up, 'is_onednn_faster', lambda: by_convolution)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    speed_up.speed_up(fast)
    fast_maps, fast_gradients = compute_maps_and_gradients(fast.train(), images)
    plain_maps, plain_gradients = compute_maps_and_gradients(plain, images)
    with torch.no_grad():
        inferred = fast.eval()(images)
    for maps in (fast_maps, inferred):
        torch.testing.assert_close(maps, plain_maps, atol=1e-5, rtol=1e-5)
    largest = max(gradient.norm() for gradient in plain_gradients)
    for found, wanted in zip(fast_gradients, plain_gradients, strict=True):
        assert (found - wanted).norm() <= 1e-7 * largest + 1e-4 * wanted.norm()


def test_drop_path_rises_linearly_over_all_blocks():
    assert compute_drop_path_rates(0.3, (1,)) == [[0.0]]
    assert compute_drop_path_rates(0.3, (1, 2, 1)) == [
        [0.0],
        pytest.approx([0.1, 0.2]),
        [pytest.approx(0.3)],
    ]


def test_stage_2_pools_its_query_unless_its_window_is_the_pretraining_map():
    for windows, pretrain_img_size, stage_2 in [
        ((7, 7, 14, 7), 384, 1),
        ((7, 7, 14, 7), (224, 224), 0),
        ((7, 7, 14, 7), [224, 448], 1),
    ]:
        assert count_poolings([(w, w) for w in windows], pretrain_img_size) == (3, 2, stage_2, 0)


def test_a_one_block_stage_leaves_the_query_generator_untrained():
    """Such a stage has no global attention, and DDP would wait for the gradient of an unused
    parameter.
    """
    model = GCViT({**GCVIT, 'depths': (2, 2, 3, 1)}).train()
    backpropagate(model(torch.rand(1, 3, 64, 64)))
    unused = set(model.stages[3].global_query.parameters())
    for parameter in model.parameters():
        assert parameter.requires_grad == (parameter not in unused)
        assert parameter.requires_grad == (parameter.grad is not None)
