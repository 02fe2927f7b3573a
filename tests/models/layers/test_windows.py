"""Windows: cutting a map and putting it together again loses nothing, at any size."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.models.layers import even_window, in_windows, out_of_windows, pad_to_windows, unpad, window_partition
from mmgcvit.models.layers.windows import gather_map, gather_windows, window_unpartition

from ...conftest import DEVICES

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
windows = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(size=sizes, window=windows, batch=st.integers(1, 3))
@pytest.mark.parametrize('device', DEVICES)
def test_partition_and_padding_are_undone_exactly(size, window, batch, device):
    """By indices, too, as torch.export gets them."""
    x = torch.rand(batch, *size, 3, device=device)
    padded = pad_to_windows(x, window)
    cut = window_partition(padded, window)
    assert cut.shape == (batch, -(-size[0] // window[0]) * -(-size[1] // window[1]), window[0] * window[1], 3)
    assert torch.equal(unpad(window_unpartition(cut, window, padded.shape[1:3]), size), x)
    assert torch.equal(gather_windows(x, window), in_windows(x, window))
    assert torch.equal(gather_map(cut, window, size), x)


def test_without_a_window_the_map_is_the_only_one():
    x = torch.rand(2, 3, 5, 4)
    cut = in_windows(x, None)
    assert torch.equal(cut, x.reshape(2, 1, 15, 4))
    assert torch.equal(out_of_windows(cut, None, (3, 5)), x)


def test_padding_is_zero_and_right_and_bottom_and_none_where_windows_fit():
    x = torch.ones(1, 3, 5, 1)
    padded = pad_to_windows(x, (4, 4))
    assert padded.shape == (1, 4, 8, 1)
    assert padded[0, :3, :5].min() == 1
    assert padded.sum() == 15
    assert pad_to_windows(x, (3, 1)) is x


def test_windows_come_row_by_row_each_with_its_own_tokens():
    x = torch.arange(4 * 6).reshape(1, 4, 6, 1)
    cut = window_partition(x, (2, 3))
    assert cut[0, 1, :, 0].tolist() == [3, 4, 5, 9, 10, 11]
    assert cut[0, 2, :, 0].tolist() == [12, 13, 14, 18, 19, 20]


@given(size=sizes, window=windows)
def test_even_windows_are_as_many_no_larger_and_waste_less_than_a_row_each(size, window):
    for side, most, found in zip(size, window, even_window(window, size), strict=True):
        count = -(-side // most)
        assert found <= most
        assert count * found - side < count
