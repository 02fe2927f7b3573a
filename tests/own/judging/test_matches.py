"""Objects and detections are matched one to one, and drawn as right, false or missed."""

import numpy as np
import pytest

from mmgcvit.own.judging.matches import FALSE, MISSED, RIGHT, draw_matches, match_objects

from .conftest import make_detections

CLASSES = ['cat', 'dog']
BOX = (20, 40, 40, 60)


@pytest.mark.parametrize(('height', 'is_match'), [(10.2, True), (9.8, False)])
def test_a_box_matches_from_an_iou_of_a_half(height, is_match):
    objects = make_detections([(BOX, 0, 1)], CLASSES)
    found = make_detections([((20, 40, 40, 40 + height), 0, 0.9)], CLASSES)
    matches = match_objects(objects, found)
    assert matches.pairs.tolist() == [[0, 0]] * is_match
    assert matches.missed.tolist() == matches.false.tolist() == [0] * (not is_match)


def test_objects_of_the_same_class_match_first():
    """Also where a detection of another class has the higher IoU, which is left over then."""
    objects = make_detections([(BOX, 0, 1)], CLASSES)
    found = make_detections([(BOX, 1, 0.9), ((20, 40, 40, 58), 0, 0.8)], CLASSES)
    matches = match_objects(objects, found)
    assert matches.pairs.tolist() == [[0, 1]]
    assert matches.false.tolist() == [0]


@pytest.mark.parametrize('scale', [1, 2, 3])
def test_matches_are_drawn_at_the_scaled_places(scale):
    """A right box is above a false one at its place."""
    objects = make_detections([(BOX, 0, 1), ((140, 40, 160, 60), 0, 1)], CLASSES)
    found = make_detections([(BOX, 0, 0.9), (BOX, 1, 0.8), ((80, 40, 100, 60), 0, 0.7)], CLASSES)
    image = np.full((100, 200, 3), 100, np.uint8)
    picture = draw_matches(image, objects, found, scale)[..., ::-1]
    assert picture.shape == (100 * scale, 200 * scale, 3)
    assert (picture[50 * scale, 20 * scale] == RIGHT).all()
    assert (picture[50 * scale, 80 * scale] == FALSE).all()
    _, columns = (picture == MISSED).all(-1).nonzero()
    assert columns.min() / scale > 120
