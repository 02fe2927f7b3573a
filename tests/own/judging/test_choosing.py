"""When thresholds are chosen, at the borders of the conditions."""

import numpy as np
import pytest

from mmgcvit.own.judging import choosing
from mmgcvit.own.judging.choosing import choose_thresholds, compute_f1_scores
from mmgcvit.own.judging.detection_curves import Curve
from mmgcvit.predict.thresholds import ScoreThresholds

from .simulated import make_curves

NAMES = ['common', 'rare']


def make_image(num_objects=1, right=(), false=()):
    """Return the matches of an image, as pycocotools has them, by the scores of its detections."""
    is_right = [True] * len(right) + [False] * len(false)
    return {
        'dtScores': np.array([*right, *false], float),
        'dtMatches': np.array(is_right)[None],
        'dtIgnore': np.zeros((1, len(is_right)), bool),
        'gtIgnore': np.zeros(num_objects),
    }


def make_rare_class(num_rare):
    """Return curves of a class that is found at 0.9, and of one that is found at 0.2."""
    common = [make_image(right=[0.9], false=[0.4]) for _ in range(40)]
    return make_curves([common, [make_image(right=[0.2]) for _ in range(num_rare)]])


@pytest.mark.parametrize(('num_objects', 'is_taken'), [(9, False), (10, True)])
def test_a_class_of_ten_objects_may_have_a_threshold_of_its_own(num_objects, is_taken):
    chosen = choose_thresholds(make_rare_class(num_objects), NAMES)
    assert chosen.overall == pytest.approx(0.65)
    assert chosen.by_class == ({'rare': pytest.approx(0.1)} if is_taken else {})


@pytest.mark.parametrize('harmless', [(True, True), (True, False), (False, True)])
def test_a_threshold_must_do_no_harm_on_images_left_out_and_on_all(harmless, monkeypatch):
    answers = iter([*harmless, *harmless])
    monkeypatch.setattr(choosing, 'is_harmless', lambda *_: next(answers))
    chosen = choose_thresholds(make_rare_class(20), ['rare', 'common'][::-1])
    assert ('rare' in chosen.by_class) == all(harmless)


def test_the_mean_of_f1_is_over_the_classes_that_have_objects():
    """One that is found though it is nowhere lowers F1 of all objects only."""
    common = [make_image(right=[0.9])] * 4
    curves = make_curves([common, [make_image(0, false=[0.8])] * 4, [make_image(0)] * 4])
    scores = compute_f1_scores(curves, ScoreThresholds(0.5), ['common', 'nowhere', 'absent'])
    assert (scores.mean, scores.overall) == (1, pytest.approx(8 / 12))


@pytest.mark.parametrize(('num_found', 'is_chosen'), [(5, False), (6, True)])
def test_no_threshold_is_chosen_below_an_f1_of_a_tenth(num_found, is_chosen):
    """With 100 objects, F1 is 0.095 if 5 are found, and 0.113 if 6 are."""
    found = [make_image(right=[0.9]) for _ in range(num_found)]
    missed = [make_image() for _ in range(100 - num_found)]
    chosen = choose_thresholds(make_curves([found + missed]), NAMES[:1])
    assert (chosen is not None) == is_chosen


def test_a_threshold_has_four_digits_unless_they_would_change_its_counts():
    """The second of these detections is false."""
    near = Curve(np.array([0.50003, 0.50002]), np.array([1, 2]), np.array([1, 1]), 1)
    assert near.rounded_threshold == near.best_threshold == pytest.approx(0.500025)
    apart = Curve(np.array([0.51234, 0.40001]), np.array([1, 2]), np.array([1, 1]), 1)
    assert apart.rounded_threshold == 0.4562
