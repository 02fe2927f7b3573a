"""Regions of a segmentation map have masks of their boxes, which say what whole masks would."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmgcvit.evaluation.suspect_regions import compute_iou, count_shared, iter_regions

CLASSES = [1, 2]
MAPS = arrays(np.uint8, (9, 12), elements=st.integers(0, 3))


def paste(region, shape):
    """Return the mask of a region in the whole image."""
    whole = np.zeros(shape, bool)
    left, top, right, bottom = region.box
    whole[top:bottom, left:right] = region.mask
    return whole


@given(MAPS, MAPS)
def test_regions_are_compared_as_whole_masks_are(first, second):
    own = [*iter_regions(first, CLASSES)]
    others = [*iter_regions(second, CLASSES)]
    for region in own:
        mask = paste(region, first.shape)
        assert region.size == np.count_nonzero(mask)
        assert sorted(region.select(second)) == sorted(second[mask])
        for other in others:
            other_mask = paste(other, second.shape)
            shared = np.count_nonzero(mask & other_mask)
            assert count_shared(region, other) == shared
            assert compute_iou(region, other) == shared / np.count_nonzero(mask | other_mask)


@given(MAPS)
def test_each_pixel_of_a_class_is_in_one_region_and_masks_are_no_larger_than_boxes(label_map):
    found = np.zeros_like(label_map)
    for region in iter_regions(label_map, CLASSES):
        left, top, right, bottom = region.box
        assert region.mask.shape == (bottom - top, right - left)
        assert region.mask.any(0).all()
        assert region.mask.any(1).all()
        assert not found[paste(region, label_map.shape)].any()
        found[paste(region, label_map.shape)] = region.label
    np.testing.assert_array_equal(found, np.where(np.isin(label_map, CLASSES), label_map, 0))
