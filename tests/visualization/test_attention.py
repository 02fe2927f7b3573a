"""Maps of attention: their sums, places and sizes; planted attention; refusals; networks are left as they were."""

import sys

import numpy as np
import pytest
import torch

from mmgcvit.inference import UserError
from mmgcvit.visualization import attention, draw_attention

from .conftest import LSA, classifier_of, hooks_of


def sums_by_window(block):
    return [block.weights[block.windows == window].sum() for window in np.unique(block.windows)]


def test_a_pair_of_local_and_global_attention_is_found_in_each_task(model, picture):
    found = attention(model, picture)
    assert [block.kind for block in found.blocks] == ['local', 'global']
    for block in found.blocks:
        assert block.weights.shape == block.received.shape == block.windows.shape
        assert np.isfinite(block.received).all()


def test_weights_sum_to_1_where_windows_fit(tmp_path, picture):
    model = classifier_of(tmp_path / 'run', window_size=(4, 4, 2, 2))
    local, shared = attention(model, picture, stage=1, at=(100, 20)).blocks
    assert local.weights.shape == (8, 8)
    assert np.nansum(local.weights) == pytest.approx(1, abs=1e-5)
    assert sums_by_window(shared) == pytest.approx([1] * 4, abs=1e-5)
    for block in (local, shared):
        averages = [block.received[block.windows == window].sum() for window in range(4)]
        assert averages == pytest.approx([1] * 4, abs=1e-5)


def test_local_attention_is_drawn_in_the_querys_window_and_global_in_all(gcvit, picture):
    found = attention(gcvit, picture, stage=0, at=(119, 89))
    local, shared = found.blocks
    own = local.windows == local.windows[15, 15]
    assert np.argwhere(local.asking).tolist() == [[15, 15]]
    assert (np.isfinite(local.weights) == own).all()
    assert np.isfinite(shared.weights).all()
    # Four windows a side of five tokens each, of which the last ones hold one: the query's place in them is padding.
    assert len(np.unique(shared.windows)) == 16
    assert np.argwhere(shared.asking).tolist() == [[r, c] for r in (0, 5, 10, 15) for c in (0, 5, 10, 15)]


def test_padding_is_cut_off_and_takes_its_share(gcvit, picture):
    found = attention(gcvit, picture, stage=0)
    shared = found.blocks[1]
    assert shared.weights.shape == (16, 16)
    sums = np.array(sums_by_window(shared)).reshape(4, 4)
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


@pytest.mark.parametrize('token', [(0, 0), (2, 7), (15, 15)])
def test_maps_are_the_networks_own_weights(gcvit, picture, token):
    """Against the weights of the windows, token by token, by arithmetic of rows and columns."""
    row, column = token
    found = attention(gcvit, picture, stage=0, head=0, at=((column + 0.5) * 7.5, (row + 0.5) * 5.625))
    kept = {}
    backbone = gcvit.network.backbone
    attn = backbone.stages[0].blocks[0].attn
    handle = attn.register_forward_pre_hook(lambda _, inputs: kept.update(inputs=inputs))
    with torch.no_grad():
        backbone(found.view.inputs)
        weights = attn.attention_weights(*kept['inputs'])[0, :, 0]
    handle.remove()
    window, query = row // 5 * 4 + column // 5, row % 5 * 5 + column % 5
    for key in range(25):
        r, c = row // 5 * 5 + key // 5, column // 5 * 5 + key % 5
        if r < 16 and c < 16:
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


@pytest.mark.parametrize('offset', [(0, 0), (1, 0), (-1, 2)])
def test_planted_attention_peaks_at_the_known_token(tmp_path, picture, offset):
    model = classifier_of(tmp_path / 'run', changed=always_to(offset), window_size=(8, 4, 2, 2))
    local = attention(model, picture, stage=0, block=0, at=(3.5 * 7.5, 4.5 * 5.625)).blocks[0]
    assert np.argwhere(local.asking).tolist() == [[4, 3]]
    peak = np.unravel_index(np.nanargmax(local.weights), local.weights.shape)
    assert peak == (4 + offset[0], 3 + offset[1])
    assert local.weights[peak] > 0.99


def test_attention_that_is_even_is_an_even_share(tmp_path, picture):
    """Keys and position bias of the global block are planted to be the same everywhere."""

    def changed(model):
        attn = model.backbone.stages[0].blocks[1].attn
        attn.position.relative_position_bias_table.zero_()
        attn.kv.weight.zero_()

    model = classifier_of(tmp_path / 'run', changed=changed, window_size=(4, 4, 2, 2))
    found = attention(model, picture, stage=0).blocks[1]
    assert found.received * found.keys == pytest.approx(np.ones((16, 16)), abs=1e-5)


@pytest.mark.parametrize('stage', [0, 1, 2, 3])
def test_lsas_global_block_attends_to_the_whole_map(lsa, picture, stage):
    found = attention(lsa, picture, stage=stage)
    (block,) = found.blocks
    assert block.kind == 'all'
    assert block.weights.shape == (16 >> stage, 16 >> stage)
    assert block.weights.sum() == pytest.approx(1, abs=1e-5)
    assert block.received.sum() == pytest.approx(1, abs=1e-5)


def test_lsa_in_windows_is_local(tmp_path, picture):
    model = classifier_of(tmp_path / 'run', type='mmgcvit.LSA', arch=LSA, window_size=5)
    (block,) = attention(model, picture, stage=0).blocks
    assert block.kind == 'local'
    assert np.nansum(block.weights) == pytest.approx(1, abs=1e-5)
    assert np.isfinite(block.weights).sum() == 16


@pytest.mark.parametrize(
    ('asked', 'message'),
    [
        ({'stage': 4}, 'there is no stage 4; there are 0 to 3'),
        ({'stage': -1}, 'there is no stage -1'),
        ({'stage': 1, 'block': 2}, 'there is no block 2 in stage 1; there are 0 to 1'),
        ({'stage': 1, 'head': 2}, 'there is no head 2 in stage 1; there are 0 to 1'),
        ({'at': (500, 3)}, 'position 500,3: the network sees x from 0 to 120 and y from 0 to 90'),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(gcvit, picture, asked, message):
    with pytest.raises(UserError, match=message):
        attention(gcvit, picture, **asked)


def test_lsas_first_block_is_sent_to_shifts(lsa, picture):
    with pytest.raises(UserError, match="draw it by 'shifts'"):
        attention(lsa, picture, stage=0, block=0)


def test_a_backbone_of_others_is_refused(gcvit, picture, monkeypatch):
    monkeypatch.setitem(gcvit.network._modules, 'backbone', torch.nn.Identity())
    with pytest.raises(UserError, match='the backbone is Identity; pictures are made of the backbones of mmgcvit'):
        attention(gcvit, picture)


def test_too_many_tokens_are_refused(lsa, picture, monkeypatch):
    monkeypatch.setattr(sys.modules['mmgcvit.visualization.attention'], 'MOST_WEIGHTS', 100)
    with pytest.raises(UserError, match='256 tokens that all attend to each other are too many; take a later stage'):
        attention(lsa, picture, stage=0)


def test_hooks_are_gone_and_answers_the_same(model, picture):
    before, hooks = model(picture), hooks_of(model)
    attention(model, picture)
    assert hooks_of(model) == hooks
    after = model(picture)
    for name, value in vars(before).items():
        np.testing.assert_array_equal(value, getattr(after, name))


def test_hooks_are_gone_after_an_error(gcvit, picture, monkeypatch):
    backbone = gcvit.network.backbone
    monkeypatch.setattr(backbone, 'forward', lambda images: (_ for _ in ()).throw(RuntimeError('too large')))
    with pytest.raises(UserError, match='too large'):
        attention(gcvit, picture)
    assert hooks_of(gcvit) == 0


def test_the_picture_has_a_row_for_each_block_and_a_bar_for_each_map(gcvit, picture):
    figure = draw_attention(attention(gcvit, picture, stage=1, head=1))
    titles = [axes.get_title() for axes in figure.axes]
    assert sum('block 0, local' in title for title in titles) == 2
    assert sum('block 1, global' in title for title in titles) == 2
    assert sum(axes.get_ylabel() == 'times an even share' for axes in figure.axes) == 4
    assert 'stage 1, head 1' in figure.get_suptitle()
