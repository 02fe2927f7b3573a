"""The global query as maps, and principal components of known answers."""

import numpy as np
import pytest
import torch

from mmgcvit.inference import UserError
from mmgcvit.visualization import draw_queries, queries
from mmgcvit.visualization.queries import principal_components

from .conftest import hooks_of


def test_each_stage_has_a_query_of_its_windows_size(gcvit, picture):
    found = queries(gcvit, picture)
    assert [stage.query.shape for stage in found.stages] == [(1, 5, 5, 16), (2, 3, 3, 16), (4, 3, 3, 16), (8, 3, 3, 16)]
    assert hooks_of(gcvit) == 0


def test_it_is_the_query_that_blocks_get(gcvit, picture):
    found = queries(gcvit, picture)
    backbone, kept = gcvit.network.backbone, []
    block = backbone.stages[1].blocks[1]
    handle = block.attn.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[1]))
    with torch.no_grad():
        backbone(found.view.inputs)
    handle.remove()
    np.testing.assert_allclose(found.stages[1].query.reshape(2, 9, 16), kept[0][0].numpy(), atol=1e-6)


def test_lengths_are_those_of_each_heads_vectors(gcvit, picture):
    stage = queries(gcvit, picture).stages[2]
    assert stage.norms[3, 1, 2] == pytest.approx(float(np.sqrt((stage.query[3, 1, 2] ** 2).sum())), rel=1e-5)


def test_components_of_planted_tokens_are_found():
    """One channel grows with the rows, strongly, another with the columns, weakly."""
    rows, columns = np.mgrid[:4, :5]
    tokens = np.stack([10.0 * rows, 1.0 * columns, np.zeros((4, 5))], -1)
    components, explained = principal_components(tokens)
    np.testing.assert_allclose(np.abs(np.diff(components[..., 0], axis=0)), 1 / 3, atol=1e-6)
    np.testing.assert_allclose(np.abs(np.diff(components[..., 1], axis=1)), 1 / 4, atol=1e-6)
    assert (components[..., 2] == 0.5).all()
    assert explained[0] > 0.98
    assert explained.sum() == pytest.approx(1)


def test_tokens_that_are_all_alike_have_no_components():
    components, explained = principal_components(np.full((4, 4, 8), 3.0))
    assert (components == 0.5).all()
    assert not explained.any()


def test_lsa_has_none(lsa, picture):
    with pytest.raises(UserError, match='LSA has no global query'):
        queries(lsa, picture)


def test_the_picture_has_a_row_for_each_stage(model, picture):
    found = queries(model, picture)
    titles = [axes.get_title() for axes in draw_queries(found).axes]
    assert sum('principal components' in title for title in titles) == len(found.stages)
    assert sum(title.startswith('stage') for title in titles) == len(found.stages)
