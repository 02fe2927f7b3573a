"""Regions of a segmentation map have masks of their boxes, which say what whole masks would."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmgcvit.own.judging.suspect_regions import (
    compute_iou,
    count_shared,
    find_suspect_regions,
    iter_regions,
)
from mmgcvit.own.judging.suspects import Kind

CAT, DOG = 1, 2
EXTRA, MISSING, MISPLACED, SWAPPED = Kind.EXTRA, Kind.MISSING, Kind.MISPLACED, Kind.SWAPPED
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


def make_map(*regions):
    """Return a map (40, 40) of background with regions (left, top, right, bottom, label)."""
    label_map = np.zeros((40, 40), np.uint8)
    for left, top, right, bottom, label in regions:
        label_map[top:bottom, left:right] = label
    return label_map


LABEL = (10, 10, 20, 20, CAT)


@pytest.mark.parametrize(
    ('labels', 'found', 'kinds'),
    [
        ([LABEL], [LABEL], []),
        # Beside the label, and of its size, half of it, and twice
        ([LABEL], [(16, 10, 26, 20, CAT)], [MISPLACED]),
        ([LABEL], [(18, 10, 24, 19, CAT)], [MISPLACED]),
        ([LABEL], [(18, 10, 23, 20, CAT)], [EXTRA, MISSING]),
        ([LABEL], [(16, 10, 36, 20, CAT)], [EXTRA, MISSING]),
        ([LABEL], [(16, 10, 35, 20, CAT)], [MISPLACED]),
        # On two labels, so that it is of neither
        ([LABEL, (24, 10, 34, 20, CAT)], [(16, 10, 28, 20, CAT)], [EXTRA, EXTRA]),
        # On a label of another class, and half or more of it on background
        ([(10, 10, 20, 20, DOG)], [(6, 10, 16, 20, CAT)], [SWAPPED]),
        ([(10, 10, 20, 20, DOG)], [(5, 10, 15, 20, CAT)], [SWAPPED, MISSING]),
        ([(10, 10, 20, 20, DOG)], [(4, 10, 14, 20, CAT)], [EXTRA, MISSING]),
        # A thousandth of 1,600 pixels is between one and two
        ([], [(5, 5, 6, 6, CAT)], []),
        ([], [(5, 5, 7, 6, CAT)], [MISSING]),
    ],
)
def test_what_is_said_of_a_label_beside_what_is_found(labels, found, kinds):
    labelled = find_suspect_regions(make_map(*labels), make_map(*found), 3, background=[0])
    assert [each.kind for each in labelled.suspects] == kinds
