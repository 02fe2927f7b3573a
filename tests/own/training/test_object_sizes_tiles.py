"""Tiles that are small for objects are named, with a side at which they are not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.own.training.object_sizes import explain_small_tiles
from mmgcvit.predict.tile_sizes import MIN_TILE, OVERLAP


def test_coins_in_tiles_of_64_pixels():
    text = explain_small_tiles(side=64, object_side=43)
    assert text == (
        'objects are up to 43 px long, over a quarter of the tiles (64 px), so that tiles cut them, '
        'and parts of one may be counted as several. Use --tiles 192, or larger'
    )


@pytest.mark.parametrize('sizes', [(None, 43), (0, 43), (64, None), (172, 43)])
def test_without_tiles_or_small_ones_there_is_no_sentence(sizes):
    assert explain_small_tiles(*sizes) == ''


@given(side=st.integers(MIN_TILE, 5000), object_side=st.integers(1, 5000))
def test_the_advised_tiles_are_large_enough(side, object_side):
    text = explain_small_tiles(side, object_side)
    assert bool(text) == (object_side > OVERLAP * side)
    if text:
        assert not explain_small_tiles(int(re.search(r'--tiles (\d+)', text)[1]), object_side)
