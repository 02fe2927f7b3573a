"""Global queries and LSA's attention to shifted copies equal the network's own values.

Modules: `tools/figures/query_maps.py`, `tools/figures/shift_maps.py`.
"""

import numpy as np

from tools.figures.query_maps import compute_queries, draw_queries, find_components
from tools.figures.shift_maps import compute_shifts, draw_shifts

from .conftest import LSA


def test_each_stages_query_equals_the_input_of_its_global_block(networks, picture):
    model = networks['gcvit']
    found = compute_queries(model, picture)
    shapes = [query.shape for query in found.by_stage.values()]
    assert shapes == [(1, 5, 5, 16), (2, 3, 3, 16), (4, 3, 3, 16), (8, 3, 3, 16)]
    ((_, q_global),) = found.view.record_inputs([model.network.backbone.stages[1].blocks[1].attn])
    np.testing.assert_allclose(found.by_stage[1].reshape(2, 9, 16), q_global[0].numpy(), atol=1e-6)
    titles = [axes.get_title() for axes in draw_queries(found).axes]
    assert sum(title.startswith('first three principal') for title in titles) == 4


def test_principal_components_of_synthetic_tokens_are_found():
    """One channel increases strongly with the row, another weakly with the column.

    Equal tokens have no variance.
    """
    rows, columns = np.mgrid[:4, :5]
    components = find_components(np.stack([10.0 * rows, 1.0 * columns, 0 * rows], -1))
    np.testing.assert_allclose(np.abs(np.diff(components[..., 0], axis=0)), 1 / 3, atol=1e-6)
    np.testing.assert_allclose(np.abs(np.diff(components[..., 1], axis=1)), 1 / 4, atol=1e-6)
    assert (components[..., 2] == 0.5).all()
    assert (find_components(np.full((4, 4, 8), 3.0)) == 0.5).all()


def test_shift_weights_equal_the_networks_own_weights(networks, picture):
    model = networks['lsa']
    found = compute_shifts(model, picture)
    attn = model.network.backbone.stages[0].blocks[0].attn
    weights = attn.compute_attention_weights(*found.view.record_inputs([attn])[0])
    np.testing.assert_allclose(found.weights, weights[0, :, :, 0].detach().numpy(), atol=1e-6)
    (axes,) = [axes for axes in draw_shifts(found).axes if axes.get_title().startswith('shift dy')]
    shares = [100 * (found.weights.argmax(-1) == i).mean() for i in range(len(LSA['shifts']))]
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], shares)
