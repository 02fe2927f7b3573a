"""Attention maps hold the network's own weights at the right positions of the image; invalid input
is rejected.
"""

import cv2
import numpy as np
import pytest
import torch

from mmgcvit.errors import UserError
from tools.figures.attention_maps import compute_attention, draw_attention
from tools.figures.views import prepare_view

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


@pytest.fixture(scope='module')
def windowed(tmp_path_factory):
    """Load an LSA classifier with windows, without padding."""
    folder = tmp_path_factory.mktemp('windowed')
    return classifier_of(folder, type='mmgcvit.LSA', arch=LSA, window_size=5)


@pytest.mark.parametrize('network', ['gcvit', 'lsa', 'windowed'])
@pytest.mark.parametrize('token', [(0, 0), (2, 7), (15, 15)])
@torch.no_grad()
def test_attention_maps_equal_the_networks_own_weights(request, picture, network, token):
    """Compare each token with the weights of its window. GC ViT's windows are padded."""
    model, (row, column) = request.getfixturevalue(network), token
    at = ((column + 0.5) * 7.5, (row + 0.5) * 5.625)
    found = compute_attention(model, picture, stage=0, head=0, at=at)
    assert found.token == token
    for block in found.blocks:
        attn = model.network.backbone.stages[0].blocks[block.block].attn
        (inputs,) = found.view.record_inputs([attn])
        weights = attn.compute_attention_weights(*inputs)[0, :, 0]
        height, width = block.window_size
        columns = -(-16 // width)
        for r, c in np.ndindex(16, 16):
            window = weights[r // height * columns + c // width]
            to_token = window[:, r % height * width + c % width].reshape(height, width)
            expected = to_token[row % height, column % width]
            if block.kind == 'local' and (r // height, c // width) != (
                row // height,
                column // width,
            ):
                expected = np.nan
            assert block.weights[r, c] == pytest.approx(float(expected), abs=1e-6, nan_ok=True)
            if block.kind != 'global':  # whose queries are not of the window
                to_token = to_token[: 16 - r + r % height, : 16 - c + c % width]
            assert block.received[r, c] == pytest.approx(float(to_token.mean()), abs=1e-6)


@pytest.mark.parametrize('stage', range(4))
def test_attention_without_windows_sums_to_1(lsa, picture, stage):
    (block,) = compute_attention(lsa, picture, stage=stage).blocks
    assert block.kind == 'all tokens'
    assert block.weights.shape == (16 >> stage, 16 >> stage)
    assert block.weights.sum() == pytest.approx(1, abs=1e-5)


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
