"""Small objects are counted as mmcv resizes images, and the objects of the fullest tile as a run
would cut it.
"""

from pathlib import Path

import numpy as np
from hypothesis import assume, example, given
from hypothesis import strategies as st
from mmcv import rescale_size

from mmgcvit.datasets.annotations import Box, LabelledObject
from mmgcvit.own.data.object_records import ObjectImage, ObjectSplit
from mmgcvit.own.training.object_sizes import (
    choose_tile_side,
    count_fullest,
    find_small_objects,
    measure_long_side,
)


def make_split(width, height, boxes):
    """Return a split with an object for each box and a small crowd, all in one image."""
    objects = [LabelledObject(1, 'x', Box(*box), 1) for box in boxes]
    crowd = LabelledObject(2, 'x', Box(0, 0, 1, 1), 1, is_ignored=True)
    image = ObjectImage('a.jpg', (width, height), [*objects, crowd], id=1)
    return ObjectSplit(Path(), [image], [])


@given(
    st.tuples(st.integers(20, 4000), st.integers(20, 4000)),
    st.lists(st.tuples(st.floats(1, 99), st.floats(1, 99)), min_size=1, max_size=40),
    st.integers(64, 900),
)
def test_small_objects_are_counted_as_mmcv_resizes_and_tiles_mend_nine_of_ten(image, boxes, size):
    """The advice is not given again after it was followed."""
    train = make_split(*image, [(0, 0, *sides) for sides in boxes])
    sides = np.prod(boxes, 1) ** 0.5
    resized = sides * rescale_size(image, (size * 5 / 3, size), return_scale=True)[1]
    assume((abs(resized - 8) > 0.01).all())
    num_small, least = (resized < 8).sum(), len(sides) / 10
    text = find_small_objects(train, size)
    assert text.split(' ')[0] == (str(num_small) if num_small > least else '')
    tile = choose_tile_side(train, size)
    assert tile <= size
    assert find_small_objects(train, size, tile) == '' or tile == 32
    assert (sides * size / tile < 8).sum() <= least or tile == 32


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), min_size=1, max_size=40))
@example([(1, 1)] * 19 + [(99, 99)])
def test_nine_of_ten_objects_are_at_most_as_long_as_the_long_side(boxes):
    longest = [max(sides) for sides in boxes]
    found = measure_long_side(make_split(100, 100, [(0, 0, *sides) for sides in boxes]))
    assert found in longest
    assert sum(side > found for side in longest) <= len(longest) / 10
    # No shorter side would do, or it would just do.
    assert sum(side >= found for side in longest) >= len(longest) / 10


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=60),
    st.integers(8, 400),
)
def test_no_tile_has_many_more_objects_than_the_fullest_that_is_counted(centres, side):
    split = make_split(301, 301, [(x - 0.5, y - 0.5, 1, 1) for x, y in centres])
    assert count_fullest(split) == len(centres)
    counts = []
    for left, top in centres:
        counts.append(sum(left <= x < left + side and top <= y < top + side for x, y in centres))
    found = count_fullest(split, side)
    assert max(counts, default=0) / 4 <= found <= len(centres)
    # Tiles begin at multiples of half their side.
    begins = np.arange(-side / 2, 301, side / 2)[:, np.newaxis]
    x, y = np.array(centres).reshape(-1, 2).T
    are_in_columns = (begins <= x) & (x < begins + side)
    are_in_rows = (begins <= y) & (y < begins + side)
    assert found == (are_in_rows.astype(int) @ are_in_columns.T.astype(int)).max()
