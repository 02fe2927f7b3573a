"""Polygons are the outline of a mask, with a bounded error: holes and parts are kept."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmgcvit.own.labels.polygons import (
    compute_iou,
    convert_to_polygons,
    fill,
    join_rings,
    trace_parts,
)

MASKS = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda size: arrays(bool, size))


@given(mask=MASKS)
def test_traced_outlines_are_exactly_the_mask(mask):
    """Also those of parts that touch at a corner, and joined to one polygon."""
    if not mask.any():
        return
    parts = trace_parts(mask)
    assert np.array_equal(fill([join_rings(part) for part in parts], mask.shape), mask)
    joined = join_rings([ring for part in parts for ring in part])
    assert np.array_equal(fill([joined], mask.shape), mask)


@given(mask=MASKS)
def test_the_signed_area_of_a_traced_polygon_is_that_of_its_pixels(mask):
    """Holes go around in the other direction, so programs that fill by the winding number, as most
    drawing libraries do, leave them out too.
    """
    if not mask.any():
        return
    rings = [join_rings(part).astype(int) for part in trace_parts(mask)]
    areas = []
    for ring in rings:
        after = np.roll(ring, -1, axis=0)
        areas.append((ring[:, 0] * after[:, 1] - ring[:, 1] * after[:, 0]).sum() / 2)
    assert abs(sum(areas)) == np.count_nonzero(mask)


@given(
    shapes=st.lists(
        st.tuples(
            st.integers(0, 90),
            st.integers(0, 60),
            st.integers(2, 40),
            st.integers(2, 40),
            st.integers(0, 179),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_simplified_polygons_cover_the_mask(shapes):
    """Ellipses are drawn and cut out, so masks have holes and parts."""
    mask = np.zeros((60, 90), np.uint8)
    for x, y, width, height, angle, is_drawn in shapes:
        cv2.ellipse(mask, (x, y), (width, height), angle, 0, 360, int(is_drawn), -1)
    mask = mask.astype(bool)
    polygons = convert_to_polygons(mask)
    if not mask.any():
        assert polygons == []
        return
    filled = fill(polygons, mask.shape)
    assert compute_iou(filled, mask) >= 0.98
    assert compute_iou(fill([join_rings(polygons)], mask.shape), mask) >= 0.98
    # The outline is at most a pixel away.
    square = np.ones((3, 3), np.uint8)
    assert (filled <= cv2.dilate(mask.astype(np.uint8), square)).all()
    assert (filled >= cv2.erode(mask.astype(np.uint8), square, borderValue=0)).all()


def test_a_disc_needs_few_corners_and_a_square_four():
    """They are at most a pixel from the outline, also where that changes few of the pixels."""
    disc = np.zeros((400, 400), np.uint8)
    cv2.circle(disc, (200, 200), 150, 1, -1)
    (polygon,) = convert_to_polygons(disc.astype(bool))
    assert len(polygon) < 100
    ((outline,),) = trace_parts(disc.astype(bool))
    for point in outline.tolist():
        assert abs(cv2.pointPolygonTest(polygon, point, measureDist=True)) <= 1
    (polygon,) = convert_to_polygons(np.pad(np.ones((5, 7), bool), 3))
    assert {*map(tuple, polygon.tolist())} == {(3, 3), (10, 3), (10, 8), (3, 8)}


@pytest.mark.parametrize('side', [1, 2])
def test_the_smallest_masks_have_the_area_of_their_pixels(side):
    mask = np.pad(np.ones((side, side), bool), 2)
    (polygon,) = convert_to_polygons(mask)
    assert cv2.contourArea(polygon) == side**2
