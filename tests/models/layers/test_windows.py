"""Test that window_partition and window_reverse are inverse at any size."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.models.layers.windows import balance_window, pad_to_windows, window_partition, window_reverse

from ...conftest import DEVICES

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
windows = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(size=sizes, window=windows, batch=st.integers(1, 3))
@pytest.mark.parametrize('device', DEVICES)
def test_window_reverse_undoes_partition_and_padding_exactly(size, window, batch, device):
    x = torch.rand(batch, *size, 3, device=device)
    padded = pad_to_windows(x, window)
    assert (padded is x) == (padded.shape == x.shape)
    cut = window_partition(x, window)
    assert cut.shape == (batch, -(-size[0] // window[0]) * -(-size[1] // window[1]), window[0] * window[1], 3)
    assert torch.equal(window_reverse(cut, window, size), x)


@given(size=sizes, window=windows)
def test_even_windows_are_as_many_no_larger_and_waste_less_than_a_row_each(size, window):
    for side, most, found in zip(size, window, balance_window(window, size), strict=True):
        count = -(-side // most)
        assert found <= most
        assert count * found - side < count
