"""Attention maps hold the network's own weights at the right positions of the image; invalid input
is rejected.
"""

import cv2
import numpy as np
import pytest
import torch

from mmgcvit.errors import UserError
from mmgcvit.figures.attention_maps import compute_attention, draw_attention
from mmgcvit.figures.views import prepare_view

from ..inference.conftest import picture_of
from .conftest import LSA, RESIZE, assert_leaves_no_trace, classifier_of

RESIZE_EDGE = {'type': 'ResizeEdge', 'scale': 80, 'edge': 'short'}


@pytest.fixture(scope='module')
def cropping(tmp_path_factory):
    """Load a classifier that sees the central 64 px of an image whose short side has 80 px."""
    crop = {'type': 'CenterCrop', 'crop_size': 64}
    return classifier_of(tmp_path_factory.mktemp('run'), [RESIZE_EDGE, crop])


@pytest.mark.parametrize(('height', 'width'), [(80, 160), (200, 160), (411, 630)])
def test_the_crop_that_the_network_sees_is_located_in_images_that_are_not_square(
    cropping, height, width
):
    scale = min(height, width) / 80
    top, left = ((round(side / scale) - 64) / 2 * scale for side in (height, width))
    expected = (left, top, left + 64 * scale, top + 64 * scale)
    view = prepare_view(cropping, picture_of(height, width))
    assert view.box == pytest.approx(expected, abs=scale)


def test_positions_in_the_image_and_in_the_inputs_are_converted(cropping):
    """A bright square is at the position of the inputs that the view says."""
    image = np.zeros((160, 320, 3), np.uint8)
    cv2.rectangle(image, (150, 60), (169, 79), (255, 255, 255), -1)
    view = prepare_view(cropping, image)
    v, u = ((view.inputs[0, 0] > 1).nonzero().float() + 0.5).mean(0).tolist()
    assert view.to_image((u, v, u, v))[:2] == pytest.approx((160, 70), abs=1.5)
    u, v = view.to_inputs((150, 60))
    assert view.to_image((u, v, u, v))[:2] == pytest.approx((150, 60))
    assert view.to_inputs(None) == (32, 32)
    message = r'position 3,60 is outside .* x from 9\d to 22\d and y from 1\d to 14\d'
    with pytest.raises(UserError, match=message):
        view.to_inputs((3, 60))


def test_a_local_and_a_global_block_are_drawn_in_two_panels_each_for_every_task(model, picture):
    found = compute_attention(model, picture)
    assert [block.kind for block in found.blocks] == ['local', 'global']
    titles = [axes.get_title() for axes in draw_attention(found).axes]
    assert [sum(f', {block.kind}' in title for title in titles) for block in found.blocks] == [2, 2]
    assert all(np.isfinite(block.received).all() for block in found.blocks)
    assert found.view.box == pytest.approx((0, 0, 120, 90))
    np.testing.assert_array_equal(found.view.image, picture[..., ::-1])
    assert_leaves_no_trace(model, picture, compute_attention)


@pytest.mark.parametrize(('row', 'column'), [(0, 0), (2, 7), (15, 15)])
def test_attention_maps_equal_the_networks_own_weights(gcvit, picture, row, column):
    """Compare each token with the weights of the network's windows, by row and column.

    Windows are padded.
    """
    at = ((column + 0.5) * 7.5, (row + 0.5) * 5.625)
    found = compute_attention(gcvit, picture, stage=0, head=0, at=at)
    assert found.token == (row, column)
    for block in found.blocks:
        attn = gcvit.network.backbone.stages[0].blocks[block.block].attn
        (inputs,) = found.view.record_inputs([attn])
        weights = attn.compute_attention_weights(*inputs)[0, :, 0]
        for r, c in np.ndindex(16, 16):
            window, key = r // 5 * 4 + c // 5, r % 5 * 5 + c % 5
            expected = float(weights[window, row % 5 * 5 + column % 5, key])
            if block.kind == 'local' and window != row // 5 * 4 + column // 5:
                expected = float('nan')
            assert block.weights[r, c] == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_attention_weights_sum_to_1(tmp_path, lsa, picture):
    """Without padding, both maps sum to 1 over a window.

    LSA without windows sums to 1 over the whole feature map.
    """
    fitting = classifier_of(tmp_path / 'run', window_size=(4, 4, 2, 2))
    local, shared = compute_attention(fitting, picture, stage=1, at=(100, 20)).blocks
    assert np.nansum(local.weights) == pytest.approx(1, abs=1e-5)
    for values in (shared.weights, shared.received, local.received):
        assert values.reshape(2, 4, 2, 4).sum((1, 3)) == pytest.approx(np.ones((2, 2)), abs=1e-5)
    for stage in range(4):
        (block,) = compute_attention(lsa, picture, stage=stage).blocks
        assert block.weights.shape == (16 >> stage, 16 >> stage)
        assert (block.weights.sum(), block.received.sum()) == pytest.approx((1, 1), abs=1e-5)
    windowed = classifier_of(tmp_path / 'lsa', type='mmgcvit.LSA', arch=LSA, window_size=5)
    (block,) = compute_attention(windowed, picture, stage=0).blocks
    assert np.nansum(block.weights) == pytest.approx(1, abs=1e-5)
    assert np.isfinite(block.weights).sum() == 16


def test_a_padded_attention_map_is_larger_than_the_image(tmp_path, picture):
    """70 px give 18 tokens in the first stage, which cover 72 px."""
    padding = classifier_of(tmp_path / 'run', [{**RESIZE, 'scale': (70, 70)}])
    found = compute_attention(padding, picture, stage=0)
    assert found.blocks[0].weights.shape == (18, 18)
    assert found.box == pytest.approx((0, 0, 120 * 72 / 70, 90 * 72 / 70))


@pytest.mark.parametrize(
    ('network', 'asked', 'message'),
    [
        ('gcvit', {'stage': 4}, 'there is no stage 4. Expected 0 to 3'),
        ('gcvit', {'stage': -1}, 'there is no stage -1'),
        ('gcvit', {'stage': 1, 'block': 2}, 'there is no block 2 in stage 1. Expected 0 to 1'),
        ('gcvit', {'stage': 1, 'head': 2}, 'there is no head 2 in stage 1. Expected 0 to 1'),
        ('lsa', {'stage': 0, 'block': 0}, 'block 0 of stage 0, .*ShiftAttention, .* shifts'),
    ],
)
def test_invalid_stages_blocks_and_heads_are_rejected(request, picture, network, asked, message):
    with pytest.raises(UserError, match=message):
        compute_attention(request.getfixturevalue(network), picture, **asked)


def test_backbones_of_other_packages_are_rejected(gcvit, picture, monkeypatch):
    monkeypatch.setitem(gcvit.network._modules, 'backbone', torch.nn.Identity())
    with pytest.raises(UserError, match=r'the backbone Identity\. Use a model with .* mmgcvit'):
        compute_attention(gcvit, picture)
