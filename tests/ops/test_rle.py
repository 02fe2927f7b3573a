"""A mask is encoded from its crop as pycocotools encodes the whole mask."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.ops.rle import encode_crop, encode_rle


@given(st.data())
def test_a_crop_gives_the_rle_of_the_whole_mask(data):
    height = data.draw(st.integers(1, 12))
    width = data.draw(st.integers(1, 12))
    top = data.draw(st.integers(0, height - 1))
    left = data.draw(st.integers(0, width - 1))
    bottom = data.draw(st.integers(top, height))
    right = data.draw(st.integers(left, width))
    seed = data.draw(st.integers(0, 99))
    crop = np.random.default_rng(seed).random((bottom - top, right - left)) < 0.7
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = crop
    assert encode_crop(crop, corner=(left, top), size=(height, width)) == encode_rle(mask)
