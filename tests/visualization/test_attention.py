"""What a network sees of an image, and maps of its attention: places, sums, planted attention, refusals."""

import sys

import cv2
import numpy as np
import pytest
import torch

from mmgcvit.errors import UserError
from mmgcvit.visualization import attention
from mmgcvit.visualization.networks import prepare_view

from ..inference.conftest import picture_of
from .conftest import LSA, assert_leaves_no_trace, classifier_of, hooks_of

CROPPED = [
    {'type': 'ResizeEdge', 'scale': 80, 'edge': 'short', 'backend': 'pillow', 'interpolation': 'bicubic'},
    {'type': 'CenterCrop', 'crop_size': 64},
]


def test_a_crop_is_found_in_the_image(tmp_path):
    cropping = classifier_of(tmp_path / 'run', CROPPED)
    for height, width in ((80, 160), (200, 160), (411, 630)):
        scale = min(height, width) / 80
        sides = round(height / scale), round(width / scale)
        top, left = ((side - 64) / 2 * scale for side in sides)
        expected = (left, top, left + 64 * scale, top + 64 * scale)
        view = prepare_view(cropping, picture_of(height, width))
        assert view.box == pytest.approx(expected, abs=scale)
    # A bright square comes out at the place of the inputs that the view gives it; what is cropped away is refused.
    image = np.zeros((160, 320, 3), np.uint8)
    cv2.rectangle(image, (150, 60), (169, 79), (255, 255, 255), -1)
    view = prepare_view(cropping, image)
    bright = (view.inputs[0, 0] > 1).nonzero().float() + 0.5
    v, u = bright.mean(0).tolist()
    assert view.in_image((u, v, u, v))[:2] == pytest.approx((160, 70), abs=1.5)
    u, v = view.in_inputs((150, 60))
    assert view.in_image((u, v, u, v))[:2] == pytest.approx((150, 60))
    assert view.in_inputs(None) == (32, 32)
    with pytest.raises(UserError, match=r'position 3,60: the network sees x from 9\d to 22\d and y from 1\d to 14\d'):
        view.in_inputs((3, 60))


def sums_by_window(block):
    return [block.weights[block.windows == window].sum() for window in np.unique(block.windows)]


def test_a_pair_of_local_and_global_attention_is_found_and_nothing_left(model, picture):
    found = attention(model, picture)
    assert [block.kind for block in found.blocks] == ['local', 'global']
    for block in found.blocks:
        assert block.weights.shape == block.received.shape == block.windows.shape
        assert np.isfinite(block.received).all()
    # Resized images are seen whole.
    assert found.view.box == pytest.approx((0, 0, 120, 90))
    np.testing.assert_array_equal(found.view.image, picture[..., ::-1])
    assert_leaves_no_trace(model, picture, attention)


def test_weights_sum_to_1_where_windows_fit(tmp_path, picture):
    """And are an even share of a global block whose keys and position bias are planted to be the same everywhere."""

    def changed(model):
        attn = model.backbone.stages[0].blocks[1].attn
        attn.position.relative_position_bias_table.zero_()
        attn.kv.weight.zero_()

    model = classifier_of(tmp_path / 'run', changed=changed, window_size=(4, 4, 2, 2))
    local, shared = attention(model, picture, stage=1, at=(100, 20)).blocks
    assert local.weights.shape == (8, 8)
    assert np.nansum(local.weights) == pytest.approx(1, abs=1e-5)
    assert sums_by_window(shared) == pytest.approx([1] * 4, abs=1e-5)
    for block in (local, shared):
        averages = [block.received[block.windows == window].sum() for window in range(4)]
        assert averages == pytest.approx([1] * 4, abs=1e-5)
    even = attention(model, picture, stage=0).blocks[1]
    assert even.received * even.keys == pytest.approx(np.ones((16, 16)), abs=1e-5)


def test_local_attention_is_drawn_in_the_querys_window_and_global_in_all(gcvit, picture):
    """Four windows a side of five tokens each, of which the last ones hold one: the rest of them is padding."""
    found = attention(gcvit, picture, stage=0, at=(119, 89))
    local, shared = found.blocks
    own = local.windows == local.windows[15, 15]
    assert np.argwhere(local.asking).tolist() == [[15, 15]]
    assert (np.isfinite(local.weights) == own).all()
    assert np.isfinite(shared.weights).all()
    assert len(np.unique(shared.windows)) == 16
    assert np.argwhere(shared.asking).tolist() == [[r, c] for r in (0, 5, 10, 15) for c in (0, 5, 10, 15)]
    # Padding is cut off, and takes its share.
    sums = np.array(sums_by_window(attention(gcvit, picture, stage=0).blocks[1])).reshape(4, 4)
    assert sums[:3, :3] == pytest.approx(np.ones((3, 3)), abs=1e-5)
    assert (sums[3] < 0.9).all()
    assert (sums[:, 3] < 0.9).all()
    assert found.box == pytest.approx((0, 0, 120, 90))


def test_a_map_beyond_the_image_is_placed_beyond_it(tmp_path, picture):
    """Of 70 px the first stage has 18 tokens, which cover 72."""
    model = classifier_of(tmp_path / 'run', [{'type': 'Resize', 'scale': (70, 70)}])
    found = attention(model, picture, stage=0)
    assert found.blocks[0].weights.shape == (18, 18)
    assert found.box == pytest.approx((0, 0, 120 * 72 / 70, 90 * 72 / 70))


def test_maps_are_the_networks_own_weights(gcvit, picture):
    """Against the weights of the windows, token by token, by arithmetic of rows and columns."""
    backbone, kept = gcvit.network.backbone, {}
    attn = backbone.stages[0].blocks[0].attn
    handle = attn.register_forward_pre_hook(lambda _, inputs: kept.update(inputs=inputs))
    with torch.no_grad():
        backbone(prepare_view(gcvit, picture).inputs)
        weights = attn.attention_weights(*kept['inputs'])[0, :, 0]
    handle.remove()
    for row, column in ((0, 0), (2, 7), (15, 15)):
        found = attention(gcvit, picture, stage=0, head=0, at=((column + 0.5) * 7.5, (row + 0.5) * 5.625))
        window, query = row // 5 * 4 + column // 5, row % 5 * 5 + column % 5
        for key in range(25):
            r, c = row // 5 * 5 + key // 5, column // 5 * 5 + key % 5
            if r < 16 and c < 16:
                # The same sums in another batch.
                assert found.blocks[0].weights[r, c] == pytest.approx(float(weights[window, query, key]), abs=1e-6)


def always_to(offset):
    """Have local attention of the first block look at the token that lies so far from the query, by position alone."""

    def changed(model):
        attn = model.backbone.stages[0].blocks[0].attn
        attn.qkv.weight.zero_()
        attn.qkv.bias.zero_()
        table = attn.position.relative_position_bias_table
        table.zero_()
        h, w = attn.window
        table[(h - 1 - offset[0]) * (2 * w - 1) + w - 1 - offset[1]] = 30  # rows are query minus key

    return changed


def test_planted_attention_peaks_at_the_known_token(tmp_path, picture):
    for offset in ((1, 0), (-1, 2)):
        model = classifier_of(tmp_path / 'run', changed=always_to(offset), window_size=(8, 4, 2, 2))
        local = attention(model, picture, stage=0, block=0, at=(3.5 * 7.5, 4.5 * 5.625)).blocks[0]
        assert np.argwhere(local.asking).tolist() == [[4, 3]]
        peak = np.unravel_index(np.nanargmax(local.weights), local.weights.shape)
        assert peak == (4 + offset[0], 3 + offset[1])
        assert local.weights[peak] > 0.99


def test_lsas_attention_goes_to_the_whole_map_or_stays_in_windows(lsa, tmp_path, picture):
    for stage in range(4):
        (block,) = attention(lsa, picture, stage=stage).blocks
        assert block.kind == 'all'
        assert block.weights.shape == (16 >> stage, 16 >> stage)
        assert block.weights.sum() == pytest.approx(1, abs=1e-5)
        assert block.received.sum() == pytest.approx(1, abs=1e-5)
    windowed = classifier_of(tmp_path / 'run', type='mmgcvit.LSA', arch=LSA, window_size=5)
    (block,) = attention(windowed, picture, stage=0).blocks
    assert block.kind == 'local'
    assert np.nansum(block.weights) == pytest.approx(1, abs=1e-5)
    assert np.isfinite(block.weights).sum() == 16


def test_what_is_not_there_is_refused_with_what_is(gcvit, lsa, picture, monkeypatch):
    for model, asked, message in (
        (gcvit, {'stage': 4}, 'there is no stage 4; there are 0 to 3'),
        (gcvit, {'stage': -1}, 'there is no stage -1'),
        (gcvit, {'stage': 1, 'block': 2}, 'there is no block 2 in stage 1; there are 0 to 1'),
        (gcvit, {'stage': 1, 'head': 2}, 'there is no head 2 in stage 1; there are 0 to 1'),
        (gcvit, {'at': (500, 3)}, 'position 500,3: the network sees x from 0 to 120 and y from 0 to 90'),
        (lsa, {'stage': 0, 'block': 0}, "draw it by 'shifts'"),
    ):
        with pytest.raises(UserError, match=message):
            attention(model, picture, **asked)
    monkeypatch.setattr(sys.modules['mmgcvit.visualization.attention'], 'MOST_WEIGHTS', 100)
    with pytest.raises(UserError, match='256 tokens that all attend to each other are too many; take a later stage'):
        attention(lsa, picture, stage=0)
    monkeypatch.setitem(gcvit.network._modules, 'backbone', torch.nn.Identity())
    with pytest.raises(UserError, match='the backbone is Identity; pictures are made of the backbones of mmgcvit'):
        attention(gcvit, picture)
    monkeypatch.undo()
    backbone = gcvit.network.backbone
    monkeypatch.setattr(backbone, 'forward', lambda images: (_ for _ in ()).throw(RuntimeError('too large')))
    with pytest.raises(UserError, match='too large'):
        attention(gcvit, picture)
    assert hooks_of(gcvit) == 0
