"""Attention maps hold the network's own weights, over the picture that the network gets; invalid
input is rejected.
"""

import numpy as np
import pytest
import torch

from mmgcvit.errors import UserError
from tools.figures.attention_maps import compute_attention, draw_attention
from tools.figures.views import prepare_view

from ...predict.conftest import picture_of
from .conftest import RESIZE, assert_leaves_no_trace, classifier_of


def test_the_drawn_image_is_what_the_network_gets(tmp_path):
    """The pipeline resizes the short side to 80 px and crops 64 px."""
    resize = {'type': 'ResizeEdge', 'scale': 80, 'edge': 'short'}
    model = classifier_of(tmp_path / 'run', [resize, {'type': 'CenterCrop', 'crop_size': 64}])
    view = prepare_view(model, picture_of(411, 630))
    normalisation = model.network.data_preprocessor
    shown = view.inputs[0] * normalisation.std + normalisation.mean
    np.testing.assert_allclose(view.image, shown.permute(1, 2, 0), atol=1e-3)


@pytest.mark.slow
def test_a_local_and_a_global_block_are_drawn_in_two_panels_each_for_every_task(model, picture):
    found = compute_attention(model, picture)
    titles = [axes.get_title() for axes in draw_attention(found).axes]
    assert [sum(f', {block.kind}' in title for title in titles) for block in found.blocks] == [2, 2]
    assert all(np.isfinite(block.received).all() for block in found.blocks)
    assert_leaves_no_trace(model, picture, compute_attention)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('block', 'expected'), [(None, [0, 1]), (0, [0, 1]), (1, [0, 1]), (2, [2])]
)
def test_a_block_is_drawn_with_its_partner(networks, picture, block, expected):
    """Stage 2 has three blocks, of which the last has no partner."""
    found = compute_attention(networks['gcvit'], picture, stage=2, block=block)
    assert [each.block for each in found.blocks] == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ('network', 'stage', 'kinds'),
    [
        ('gcvit', 0, ['local', 'global']),
        ('gcvit', 2, ['local', 'global']),
        ('lsa', 0, ['all tokens']),
        ('lsa', 2, ['all tokens']),
        ('windowed', 0, ['local']),
    ],
)
@pytest.mark.parametrize('token', [(0, 0), (2, 1), (3, 3)])
@torch.no_grad()
def test_attention_maps_equal_the_networks_own_weights(
    networks, picture, network, stage, kinds, token
):
    """GC ViT's windows are padded."""
    model, (row, column), side = networks[network], token, 16 >> stage
    stride = 64 // side
    found = compute_attention(model, picture, stage, head=0, at=(stride * column, stride * row))
    assert found.token == token
    assert [block.kind for block in found.blocks] == kinds
    for block in found.blocks:
        attn = model.network.backbone.stages[stage].blocks[block.block].attn
        (inputs,) = found.view.record_inputs([attn])
        h, w = block.window_size
        # By window, query and key.
        windows = attn.compute_attention_weights(*inputs)[0, :, 0].reshape(-1, h, w, h, w)
        weights, received = np.full((2, side, side), np.nan)
        for i, j in np.ndindex(side, side):
            top = i // h * h
            left = j // w * w
            of_key = windows[i // h * -(-side // w) + j // w, :, :, i - top, j - left]
            if block.kind == 'global' or (row // h, column // w) == (i // h, j // w):
                weights[i, j] = of_key[row % h, column % w]
            if block.kind != 'global':  # whose queries are not tokens of the window
                of_key = of_key[: side - top, : side - left]
            received[i, j] = of_key.mean()
        np.testing.assert_allclose(block.weights, weights, atol=1e-6)
        np.testing.assert_allclose(block.received, received, atol=1e-6)


def test_a_padded_attention_map_is_larger_than_the_image(tmp_path, picture):
    """70 px give 18 tokens in the first stage, which cover 72 px."""
    padding = classifier_of(tmp_path / 'run', [{**RESIZE, 'scale': (70, 70)}])
    found = compute_attention(padding, picture, stage=0)
    assert found.blocks[0].weights.shape == (18, 18)
    axes = draw_attention(found).axes[1]
    assert [image.get_extent() for image in axes.images] == [[0, 70, 70, 0], [0, 72, 72, 0]]
    assert axes.get_xlim() == (0, 70)


def test_backbones_of_other_packages_are_rejected(networks, picture, monkeypatch):
    model = networks['gcvit']
    monkeypatch.setitem(model.network._modules, 'backbone', torch.nn.Identity())
    with pytest.raises(UserError, match=r'the backbone Identity\. Use a model with .* mmgcvit'):
        compute_attention(model, picture)
