"""Test GC ViT: its arguments and layers, the plain formulation, and the published network's figures
and outputs.

What every backbone must do is in tests/models/contract.
"""

from functools import partial

import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.models import speed_up
from mmgcvit.models.gcvit.attention import GlobalWindowAttention, LocalWindowAttention
from mmgcvit.models.gcvit.backbone import compute_drop_path_rates
from mmgcvit.models.gcvit.global_query import count_poolings
from mmgcvit.models.gcvit.stage import Block
from tools.get_flops import count_macs

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


@pytest.mark.parametrize(
    ('size', 'padded'), [((14, 21), (14, 21)), ((15, 15), (21, 21)), ((3, 9), (7, 14))]
)
def test_multiply_adds_of_a_block_are_the_papers_formula(size, padded):
    """Section 2: 2HW(2C^2 + hwC) for local attention; global attention lacks the query's
    projection, HWC^2.

    A map that windows do not divide costs as much as the padded one. The MLP, of ratio r, adds 2r
    HWC^2.
    """
    dims, window, ratio = 32, (7, 7), 3
    pixels = padded[0] * padded[1]
    omega = 2 * pixels * (2 * dims**2 + window[0] * window[1] * dims)
    mlp = 2 * ratio * size[0] * size[1] * dims**2
    for attention, macs in [
        (LocalWindowAttention, omega),
        (GlobalWindowAttention, omega - pixels * dims**2),
    ]:
        with torch.device('meta'):
            x, q_global = torch.empty(1, *size, dims), torch.empty(1, 2, 49, dims // 2)
            block = Block(dims, attention(dims, 2, window), ratio * dims, 1e-5, 0.0).eval()
        assert count_macs(partial(block.attn, x, q_global)) == macs
        assert count_macs(partial(block, x, q_global)) == macs + mlp


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


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('arch', 'huge', "'huge'.*'xxtiny'.*'large'"),
        ('arch', 'Large', 'did you mean large'),
        ('arch', 3, 'unknown arch 3; choose one of .* or give a dict'),
        ('arch', {'embed_dims': 8}, "missing .*'depths'.*the keys are"),
        ('window_size', (7, 7, 14), 'window_size is .*each of the 4'),
        ('window_size', (7, 14), 'window_size is .*each of the 4'),
        ('window_size', 0, 'window_size is .*each of the 4'),
        ('window_size', 7.0, 'window_size is .*each of the 4'),
        ('window_size', None, 'window_size is .*each of the 4'),
        ('window_size', '7', 'window_size is .*each of the 4'),
        ('pretrain_img_size', 16, '16.*32 px'),
        ('drop_path_rate', 1.0, r'1\.0.*less than 1'),
        ('with_cp', (True, False), 'with_cp is .*expected True or False'),
    ],
)
def test_bad_arguments_are_rejected_with_what_is_allowed(name, value, words):
    with pytest.raises(ValueError, match=words):
        GCViT(**{'arch': GCVIT, name: value})


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('heads', 3, "unexpected keyword argument 'heads'"),
        ('depths', (2, 2, 2), 'depths is .*4 ints of at least 1'),
        ('depths', 2, 'depths is .*4 ints of at least 1'),
        ('num_heads', (3, 2, 4, 8), r'num_heads\[0\] is 3; expected a divisor of .* 16'),
        ('embed_dims', 2, 'embed_dims is .*at least 4'),
        ('embed_dims', 16.0, 'embed_dims is .*at least 4'),
        ('mlp_ratio', '2', "mlp_ratio is '2'; expected a number"),
        ('drop_path_rate', 'x', "arch: drop_path_rate is 'x'; expected a number"),
    ],
)
def test_bad_attributes_of_an_arch_are_rejected_with_what_is_allowed(name, value, words):
    with pytest.raises(ValueError, match=words):
        GCViT({**GCVIT, name: value})
