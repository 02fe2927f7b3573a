"""The scorer with which trained models are measured, and what these measurements call a loss.

Modules: `tests/own/judging/scorer.py`, `tests/own/judging/trained_thresholds.py`.
"""

import numpy as np
import pytest

from mmgcvit.own.judging.detection_curves import compute_detection_curves, encode_detections
from mmgcvit.predict.results import Detections

from .conftest import make_detections
from .scorer import Counts, Objects, add_counts, find_best_threshold, match_boxes, match_class
from .trained_thresholds import CHOSEN, SINGLE, list_losses, make_score

CLASSES = ['cat', 'dog']


def draw_detections(rng: np.random.Generator, number: int) -> Detections:
    """Draw overlapping boxes of two classes in a small image."""
    corners = rng.uniform(0, 30, (number, 2))
    sides = rng.uniform(10, 30, (number, 2))
    boxes = np.hstack([corners, corners + sides]).tolist()
    labels = rng.integers(0, 2, number).tolist()
    scores = rng.random(number).tolist()
    return make_detections([*zip(boxes, labels, scores, strict=True)], CLASSES)


@pytest.mark.parametrize('seed', range(20))
def test_counts_are_those_of_the_package_at_any_threshold(seed):
    """Two programs that share no code, pycocotools' matches and these."""
    rng = np.random.default_rng(seed)
    truths = [draw_detections(rng, int(rng.integers(0, 6))) for _ in range(4)]
    found = [draw_detections(rng, int(rng.integers(0, 12))) for _ in range(4)]
    curves = compute_detection_curves(
        [encode_detections(each, with_masks=False) for each in truths],
        [encode_detections(each, with_masks=False) for each in found],
        len(CLASSES),
    )
    objects = [Objects(each.labels, each.boxes) for each in truths]
    classes = [match_class(found, objects, label) for label in range(len(CLASSES))]
    for matches, curve in zip(classes, curves.by_class, strict=True):
        for threshold in (0, 0.2, 0.5, 0.9):
            counts = matches.count(threshold)
            assert counts.objects == curve.num_objects
            assert (counts.found, counts.right) == curve.count_at(threshold)
    best = add_counts(each.count(find_best_threshold(classes)) for each in classes)
    assert best.f1 == pytest.approx(curves.overall.f1.max())


def test_an_object_is_found_once_and_by_the_highest_score():
    true = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], float)
    found = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 24, 10]], float)
    assert match_boxes(found, np.array([0.6, 0.9, 0.8]), true).tolist() == [False, True, False]
    assert match_boxes(found[:0], np.empty(0), true).tolist() == []
    assert match_boxes(found, np.array([0.6, 0.9, 0.8]), true[:0]).tolist() == [False] * 3


def test_a_lower_score_of_the_chosen_thresholds_is_a_loss():
    single = make_score([Counts(10, 10, 8), Counts(4, 0, 0)])
    assert single.overall == pytest.approx(16 / 24)
    assert single.mean == pytest.approx(0.4)
    better = make_score([Counts(10, 10, 8), Counts(4, 4, 4)])
    assert list_losses({SINGLE: single, CHOSEN: better}) == []
    assert list_losses({SINGLE: single, CHOSEN: single}) == []
    assert list_losses({SINGLE: better, CHOSEN: single}) == [
        'F1 of all objects',
        'the mean F1 over classes',
    ]
    many_false = make_score([Counts(10, 10, 8), Counts(4, 40, 4)])
    assert list_losses({SINGLE: single, CHOSEN: many_false}) == ['F1 of all objects']
