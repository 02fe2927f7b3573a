"""A contact sheet shows images with many or small objects in part, so that they can be seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.own.judging.parts import DRAWN_OBJECT, MIN_DRAWN_OBJECT, choose_part
from mmgcvit.predict.results import Detections

DRAWN_SIDE = 400


def make_objects(size, count, side, seed=0, with_masks=False):
    """Make square objects at random places in an image of (height, width)."""
    random = np.random.default_rng(seed)
    corners = random.uniform(0, np.subtract(size[::-1], side).clip(1), (count, 2))
    boxes = np.hstack([corners, corners + side]).round().astype(np.float32)
    masks = None
    if with_masks:
        masks = np.zeros((count, *size), bool)
        for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
            mask[top:bottom, left:right] = True
    labels = np.arange(count) % 3
    return Detections(boxes, np.ones(count, np.float32), labels, ['a', 'b', 'c'], masks)


def test_few_large_objects_are_drawn_in_the_whole_image():
    image = np.zeros((300, 400, 3), np.uint8)
    assert choose_part(image, make_objects((300, 400), 25, 40).boxes, DRAWN_SIDE) is None
    assert choose_part(image, np.zeros((0, 4), np.float32), DRAWN_SIDE) is None


def test_small_objects_are_enlarged():
    image = np.zeros((3000, 4000, 3), np.uint8)
    boxes = make_objects((3000, 4000), 9, 60).boxes
    assert 60 * DRAWN_SIDE / 4000 < MIN_DRAWN_OBJECT
    part = choose_part(image, boxes, DRAWN_SIDE)
    assert 60 * DRAWN_SIDE / part.side == DRAWN_OBJECT


def test_a_part_of_many_objects_has_few_enough_for_labels():
    image = np.zeros((1200, 1200, 3), np.uint8)
    grid = np.stack(np.meshgrid(*2 * [np.arange(0, 1200, 60)]), -1).reshape(-1, 2)
    boxes = np.hstack([grid, grid + 50]).astype(np.float32)
    part = choose_part(image, boxes, DRAWN_SIDE)
    corners = boxes[:, :2] - [part.left, part.top]
    is_complete = ((corners >= 0) & (corners + 50 <= part.side)).all(1)
    assert 4 <= is_complete.sum() <= 25


@pytest.mark.parametrize(('height', 'width'), [(300, 2000), (2000, 300)])
def test_a_part_reaches_the_far_corner_of_a_long_image_and_not_beyond(height, width):
    image = np.zeros((height, width, 3), np.uint8)
    boxes = np.array([[width - 6, height - 6, width - 1, height - 1]], np.float32)
    part = choose_part(image, boxes, DRAWN_SIDE)
    assert (part.left + part.side, part.top + part.side) == (width, height)


@given(
    st.tuples(*2 * [st.integers(40, 200)]),
    st.integers(1, 60),
    st.integers(1, 12),
    st.integers(0, 2**32 - 1),
)
def test_a_part_has_the_objects_of_its_pixels(size, count, side, seed):
    """Each with its class, its box and its mask, and at least one of them."""
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    objects = make_objects(size, count, side, seed, with_masks=True)
    part = choose_part(image, objects.boxes, DRAWN_SIDE)
    if part is None:
        return
    cut, found = part.cut(image, objects)
    window = np.s_[part.top : part.top + part.side, part.left : part.left + part.side]
    np.testing.assert_array_equal(cut, image[window])
    is_shown = objects.masks[:, window[0], window[1]].any((1, 2))
    assert is_shown.any()
    np.testing.assert_array_equal(found.labels, objects.labels[is_shown])
    np.testing.assert_array_equal(found.masks, objects.masks[is_shown][:, window[0], window[1]])
    for box, mask in zip(found.boxes, found.masks, strict=True):
        rows, columns = np.nonzero(mask)
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_array_equal(box, expected)
