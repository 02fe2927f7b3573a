"""What is said of images with as many detections as a model returns, and how a matrix is drawn."""

from types import SimpleNamespace

import numpy as np
import pytest

from mmgcvit.own.judging.detection import DetectionScores, count_rows, format_limited
from mmgcvit.own.judging.scoring import make_empty_matrix
from mmgcvit.predict.thresholds import ScoreThresholds

CLASSES = ['cat', 'dog']


@pytest.mark.parametrize(
    ('lowest', 'thresholds', 'tiles', 'is_named'),
    [
        (0.5, ScoreThresholds(0.5), None, True),
        (0.49, ScoreThresholds(0.5), None, False),
        (0.4, ScoreThresholds(0.5, {'dog': 0.4}), None, True),  # there may be more dogs
        (0.5, ScoreThresholds(0.5), 256, False),  # the limit is that of a tile
    ],
)
def test_an_image_may_have_more_objects_if_the_last_one_reaches_a_threshold(
    lowest, thresholds, tiles, is_named
):
    scores = DetectionScores(
        num_images=3,
        confusion_matrix=make_empty_matrix(2),
        images_by_class=np.zeros(2, int),
        curves=None,
        lowest_scores={'a.png': lowest},
    )
    model = SimpleNamespace(classes=CLASSES, tiles=tiles, limit=100)
    lines = format_limited(scores, model, thresholds)
    assert len(lines) == is_named
    assert not lines or lines[0].startswith('in 1 of 3 images (a.png)')


@pytest.mark.parametrize(('num_false', 'last'), [(1, 30), (50, 50)])
def test_false_detections_are_drawn_as_shares_of_the_largest_class(num_false, last):
    """A single one would be darkest as a share of itself."""
    matrix = make_empty_matrix(2)
    matrix.matched[:] = [[20, 10], [0, 5]]
    matrix.false[1] = num_false
    assert count_rows(matrix).tolist() == [30, 5, last]
