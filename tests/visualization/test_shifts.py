"""LSA's attention to shifted copies: sums, a planted winner, and grids at the right place."""

import numpy as np
import pytest

from mmgcvit.inference import UserError
from mmgcvit.visualization import draw_shifts, shifts

from .conftest import LSA, SHIFTS, classifier_of, hooks_of


def test_weights_are_of_every_patch_and_shift(lsa, picture):
    found = shifts(lsa, picture)
    assert found.weights.shape == (16, 16, len(SHIFTS))
    assert found.weights.sum(-1) == pytest.approx(np.ones((16, 16)), abs=1e-5)
    assert found.counts.sum() == 256
    assert hooks_of(lsa) == 0


@pytest.mark.parametrize('winner', range(len(SHIFTS)))
def test_a_planted_shift_wins_in_every_patch(tmp_path, picture, winner):
    """Embeddings of one copy alone point where the queries point."""

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
    from matplotlib.colors import to_rgba

    from mmgcvit.visualization.shifts import colours_of

    found = shifts(lsa, picture)
    figure = draw_shifts(found)
    (axes,) = [axes for axes in figure.axes if axes.get_title().startswith('the framed part')]
    number = SHIFTS.index((2, 0))
    colour = to_rgba(colours_of(found)[number])
    (grid,) = [each for each in axes.collections if tuple(each.get_colors()[0]) == pytest.approx(colour)]
    heights = sorted(segment[0, 1] for segment in grid.get_segments() if segment[0, 1] == segment[1, 1])
    assert heights == pytest.approx([(4 * row - 2) * 90 / 64 for row in range(17)])


def test_all_shifts_have_colours_of_their_own(lsa, picture):
    from mmgcvit.visualization.shifts import colours_of

    assert len(np.unique(colours_of(shifts(lsa, picture)).round(3), axis=0)) == len(SHIFTS)


def test_bars_of_the_legend_are_as_long_as_their_shares_and_colours_stand_apart(lsa, picture):
    """A copy that no patch prefers has a colour and no bar."""
    found = shifts(lsa, picture)
    found.preferred[:] = 3
    (axes,) = [axes for axes in draw_shifts(found).axes if axes.get_title().startswith('legend')]
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0, 100 * (i == 3)) for i in range(len(SHIFTS))]
    axes.figure.canvas.draw()
    (swatches,) = axes.collections
    assert len(swatches.get_facecolors()) == len(SHIFTS)
    placed = swatches.get_window_extent(axes.figure.canvas.get_renderer())
    assert placed.x1 < axes.get_window_extent().x0
    assert all(label.get_window_extent().x1 < placed.x0 for label in axes.get_yticklabels())


def test_a_head_is_chosen_or_refused(lsa, picture):
    assert shifts(lsa, picture, head=0).weights.shape == (16, 16, len(SHIFTS))
    with pytest.raises(UserError, match='there is no head 1 in stage 0; there are 0 only'):
        shifts(lsa, picture, head=1)


def test_gcvit_and_lsa_without_shifts_are_refused(gcvit, tmp_path, picture):
    unshifted = classifier_of(tmp_path / 'run', type='mmgcvit.LSA', arch={**LSA, 'shifts': None})
    for model in (gcvit, unshifted):
        with pytest.raises(UserError, match='has no shifted copies of the image'):
            shifts(model, picture)
