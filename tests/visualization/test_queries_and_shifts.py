"""The global query as maps, and LSA's attention to shifted copies: planted answers, and what is drawn of them."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

from mmgcvit.errors import UserError
from mmgcvit.visualization import attention, draw_attention, draw_queries, draw_shifts, queries, shifts
from mmgcvit.visualization.queries import find_components
from mmgcvit.visualization.shifts import choose_colours

from .conftest import LSA, SHIFTS, classifier_of, hooks_of


def test_each_stages_query_is_the_one_that_its_blocks_get(gcvit, picture):
    found = queries(gcvit, picture)
    assert [stage.query.shape for stage in found.stages] == [(1, 5, 5, 16), (2, 3, 3, 16), (4, 3, 3, 16), (8, 3, 3, 16)]
    assert hooks_of(gcvit) == 0
    backbone, kept = gcvit.network.backbone, []
    block = backbone.stages[1].blocks[1]
    handle = block.attn.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[1]))
    with torch.no_grad():
        backbone(found.view.inputs)
    handle.remove()
    np.testing.assert_allclose(found.stages[1].query.reshape(2, 9, 16), kept[0][0].numpy(), atol=1e-6)
    stage = found.stages[2]
    assert stage.norms[3, 1, 2] == pytest.approx(float(np.sqrt((stage.query[3, 1, 2] ** 2).sum())), rel=1e-5)


def test_components_of_planted_tokens_are_found():
    """One channel grows with the rows, strongly, another with the columns, weakly; tokens all alike have none."""
    rows, columns = np.mgrid[:4, :5]
    tokens = np.stack([10.0 * rows, 1.0 * columns, np.zeros((4, 5))], -1)
    components, explained = find_components(tokens)
    np.testing.assert_allclose(np.abs(np.diff(components[..., 0], axis=0)), 1 / 3, atol=1e-6)
    np.testing.assert_allclose(np.abs(np.diff(components[..., 1], axis=1)), 1 / 4, atol=1e-6)
    assert (components[..., 2] == 0.5).all()
    assert explained[0] > 0.98
    assert explained.sum() == pytest.approx(1)
    components, explained = find_components(np.full((4, 4, 8), 3.0))
    assert (components == 0.5).all()
    assert not explained.any()


def test_pictures_have_a_panel_for_all_that_is_found(gcvit, lsa, picture):
    """Titles, or what begins them, and how many panels have them."""
    for figure, title, panels in (
        (
            draw_attention(attention(gcvit, picture, stage=1, head=1)),
            'GCViT, stage 1, head 1',
            {'block 0, local': 2, 'block 1, global': 2, 'times an even share': 4},
        ),
        (draw_queries(queries(gcvit, picture)), 'GCViT: global query', {'stage': 4, 'first three principal': 4}),
        (draw_shifts(shifts(lsa, picture, head=0)), 'LSA, first block, head 0', {'image': 1, 'the copy that': 1}),
    ):
        words = [word for axes in figure.axes for word in (axes.get_title(), axes.get_ylabel())]
        assert figure.get_suptitle().startswith(title)
        assert {begin: sum(word.startswith(begin) for word in words) for begin in panels} == panels


def test_weights_are_of_every_patch_and_shift_and_nothing_is_left(lsa, picture):
    found = shifts(lsa, picture)
    assert found.weights.shape == shifts(lsa, picture, head=0).weights.shape == (16, 16, len(SHIFTS))
    assert found.weights.sum(-1) == pytest.approx(np.ones((16, 16)), abs=1e-5)
    assert found.counts.sum() == 256
    assert hooks_of(lsa) == 0


def test_a_planted_shift_wins_in_every_patch(tmp_path, picture):
    """Embeddings of one copy alone point where the queries point."""
    winner = 3

    def changed(model):
        stem, stage = model.backbone.stem, model.backbone.stages[0]
        for number, conv in enumerate(stem.convs):
            conv.weight.zero_()
            conv.bias.zero_()
            conv.bias[0] = 1.0
            conv.bias[1] = 1.0 if number == winner else -1.0
        stage.position.pos_embed.zero_()
        attn = stage.blocks[0].attn
        for layer in (attn.q, attn.kv):
            layer.weight.zero_()
            layer.bias.zero_()
        attn.q.bias[0] = 10.0
        attn.kv.weight[0, 1] = 1.0

    model = classifier_of(tmp_path / 'run', type='mmgcvit.LSA', arch=LSA, changed=changed)
    found = shifts(model, picture)
    assert (found.preferred == winner).all()
    assert found.shifts[winner] == SHIFTS[winner]
    assert found.counts[winner] == 256


def test_grids_are_drawn_where_the_copies_content_lies(lsa, picture):
    """A copy that is moved down by 2 px shows in its patches what lies 2 px above. Patches are 4 of 64 px."""
    found = shifts(lsa, picture)
    colours = choose_colours(found)
    assert len(np.unique(colours.round(3), axis=0)) == len(SHIFTS)
    (axes,) = [axes for axes in draw_shifts(found).axes if axes.get_title().startswith('the framed part')]
    colour = to_rgba(colours[SHIFTS.index((2, 0))])
    grid, _ = (each for each in axes.collections if tuple(each.get_colors()[0]) == pytest.approx(colour))
    heights = sorted(segment[0, 1] for segment in grid.get_segments())
    assert heights == pytest.approx([(4 * row - 2) * 90 / 64 for row in range(17)])


def test_bars_of_the_legend_are_as_long_as_their_shares(lsa, picture):
    """A copy that no patch prefers still has its colour, behind its name."""
    found = shifts(lsa, picture)
    found.preferred[:] = 3
    (axes,) = [axes for axes in draw_shifts(found).axes if axes.get_title().startswith('legend')]
    assert [bar.get_width() for bar in axes.patches] == [100 * (i == 3) for i in range(len(SHIFTS))]
    drawn = [label.get_bbox_patch().get_facecolor()[:3] for label in axes.get_yticklabels()]
    np.testing.assert_allclose(drawn, choose_colours(found))


def test_networks_without_them_are_refused(gcvit, lsa, tmp_path, picture):
    unshifted = classifier_of(tmp_path / 'run', type='mmgcvit.LSA', arch={**LSA, 'shifts': None})
    for function, model, asked, message in (
        (queries, lsa, {}, 'LSA has no global query'),
        (shifts, gcvit, {}, 'this GCViT has no shifted copies of the image, which only LSA has'),
        (shifts, unshifted, {}, 'has no shifted copies of the image'),
        (shifts, lsa, {'head': 1}, 'there is no head 1 in stage 0; there are 0 only'),
    ):
        with pytest.raises(UserError, match=message):
            function(model, picture, **asked)
