"""Relative position bias: indexed by query minus key, resized when another window's table is loaded."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.layers import RelativePositionBias
from mmgcvit.layers.position import relative_position_index, resize_table

windows = st.tuples(st.integers(1, 6), st.integers(1, 6))


@given(window=windows)
def test_the_index_is_query_minus_key_row_by_row(window):
    """The definition, pair by pair: (dy + h-1) * (2w-1) + dx + w-1."""
    h, w = window
    index = relative_position_index(window)
    for q in range(h * w):
        for k in range(h * w):
            dy, dx = q // w - k // w, q % w - k % w
            assert index[q, k] == (dy + h - 1) * (2 * w - 1) + dx + w - 1


@given(window=windows)
def test_every_row_of_the_table_is_used(window):
    h, w = window
    index = relative_position_index(window)
    assert torch.equal(index.unique(), torch.arange((2 * h - 1) * (2 * w - 1)))


def test_the_bias_is_the_table_at_the_index():
    position = RelativePositionBias((3, 4), num_heads=2)
    table, index = position.relative_position_bias_table, relative_position_index((3, 4))
    assert torch.equal(position(), table[index].permute(2, 0, 1))


def test_loading_another_windows_table_resizes_it_bicubically():
    small, large = RelativePositionBias((7, 7), 3), RelativePositionBias((12, 9), 3)
    large.load_state_dict(small.state_dict())
    image = small.relative_position_bias_table.T.reshape(1, 3, 13, 13)
    expected = F.interpolate(image, size=(23, 17), mode='bicubic', align_corners=False)
    torch.testing.assert_close(large.relative_position_bias_table.T.reshape(1, 3, 23, 17), expected)


def test_loading_does_not_change_the_state_dict_it_is_given():
    state = RelativePositionBias((7, 7), 3).state_dict()
    before = state['relative_position_bias_table'].shape
    RelativePositionBias((12, 12), 3).load_state_dict(state)
    assert state['relative_position_bias_table'].shape == before


def test_a_table_that_fits_is_loaded_as_it_is():
    table = torch.rand(169, 2)
    assert resize_table(table, (13, 13), (13, 13)) is table


def test_a_table_of_no_square_window_is_refused():
    with pytest.raises(ValueError, match='35 rows'):
        RelativePositionBias((4, 4), 2).load_state_dict({'relative_position_bias_table': torch.rand(35, 2)})


def test_a_table_of_another_number_of_heads_is_refused():
    with pytest.raises(RuntimeError, match='size mismatch'):
        RelativePositionBias((4, 4), 2).load_state_dict({'relative_position_bias_table': torch.rand(169, 3)})
