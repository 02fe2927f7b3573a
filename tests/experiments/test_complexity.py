"""Multiply-adds equal the published ones, so every layer is counted once."""

import pytest
import torch
from torch import nn

from mmgcvit import GCViT
from mmgcvit.experiments.complexity import count_macs

PRETRAINED = (7, 7, 14, 7)
# Multiply-adds (G) of the backbones at 224 px.
AT_224 = {
    'xxtiny': 2.120,
    'xtiny': 2.912,
    'tiny': 4.760,
    'tiny2': 6.177,
    'small': 8.529,
    'small2': 11.537,
    'base': 14.815,
    'large': 32.553,
}
# Multiply-adds (G) of the backbones tiny, small and base by window size: at 800x1280 and at 512x2048 (height x width).
DENSE = {
    24: ((181.0, 315.1, 510.6), (178.0, 308.5, 500.1)),
    16: ((121.3, 216.2, 366.6), (111.6, 196.5, 333.9)),
    14: ((111.0, 198.4, 339.5), (124.8, 226.0, 386.4)),
    PRETRAINED: ((102.8, 185.7, 322.0), (113.6, 207.3, 358.9)),
}
DENSE_SIZES = ((800, 1280), (512, 2048))


def backbone_gmacs(size, **arguments):
    with torch.device('meta'):
        model, images = GCViT(**arguments).eval(), torch.empty(1, 3, *size)
    return count_macs(lambda: model(images)) / 1e9


@pytest.mark.long
def test_multiply_adds_of_backbones_equal_the_published():
    """Check 224 px, the fine-tuning sizes of the large backbone, and dense tasks with each window size."""
    cases = [((224, 224), {'arch': arch}, gmacs) for arch, gmacs in AT_224.items()]
    for side, windows, gmacs in ((384, (12, 12, 24, 12), 103.9), (512, (16, 16, 32, 16), 202.1)):
        cases.append(((side, side), {'arch': 'large', 'window_size': windows, 'pretrain_img_size': side}, gmacs))
    for windows, at_sizes in DENSE.items():
        for size, of_archs in zip(DENSE_SIZES, at_sizes, strict=True):
            for arch, gmacs in zip(('tiny', 'small', 'base'), of_archs, strict=True):
                cases.append((size, {'arch': arch, 'window_size': windows}, gmacs))
    found = [(size, arguments, backbone_gmacs(size, **arguments), gmacs) for size, arguments, gmacs in cases]
    # Published values have three or four digits.
    assert not [case for case in found if case[2] != pytest.approx(case[3], rel=0.005)]


def test_multiply_adds_of_a_linear_layer_and_of_attention():
    with torch.device('meta'):
        linear, x = nn.Linear(3, 5), torch.empty(7, 3)
        q = torch.empty(2, 4, 6, 8)
    assert count_macs(lambda: linear(x)) == 7 * 3 * 5
    attention = nn.functional.scaled_dot_product_attention
    assert count_macs(lambda: attention(q, q, q)) == 2 * (2 * 4 * 6 * 6 * 8)
