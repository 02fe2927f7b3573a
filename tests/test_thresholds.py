"""The confidence thresholds of a detector: their values, their choice, and how often the verdict
that rests on them is wrong.
"""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgcvit.commands.options import collect_score_thr
from mmgcvit.errors import UserError
from mmgcvit.evaluation.choosing import (
    MIN_OBJECTS,
    choose_thresholds,
    compute_f1_scores,
    find_harmless,
)
from mmgcvit.evaluation.intervals import ImageCounts
from mmgcvit.evaluation.verdict import GOOD
from mmgcvit.thresholds import ScoreThresholds, parse_metadata, parse_thresholds

from .evaluation.simulated import Quality, draw_classes, draw_images, judge_sets, make_curves

NAMES = ['head', 'sharp', 'C clef']
THRESHOLDS = st.builds(
    ScoreThresholds, st.floats(0, 1), st.dictionaries(st.text(), st.floats(0, 1), max_size=4)
)


@given(THRESHOLDS)
def test_thresholds_are_the_same_after_they_were_written(thresholds):
    assert parse_thresholds(thresholds.to_json()) == thresholds
    assert parse_metadata({'format': 'pt', **thresholds.to_metadata()}) == thresholds


def test_a_file_with_one_number_is_read():
    assert parse_thresholds({'score_thr': 0.25}) == ScoreThresholds(0.25)
    assert parse_metadata({'format': 'pt'}) is None


def test_a_number_is_for_all_classes_and_a_mapping_for_those_it_names():
    chosen = ScoreThresholds(0.6, {'sharp': 0.3})
    assert chosen.override(0.5) == ScoreThresholds(0.5)
    both = chosen.override({'C clef': 0.4})
    assert both.list_by_class(NAMES) == {'head': 0.6, 'sharp': 0.3, 'C clef': 0.4}
    assert str(both) == '0.6 (sharp 0.3, C clef 0.4)'


@pytest.mark.parametrize(
    ('thresholds', 'message'),
    [
        (ScoreThresholds(0.5, {'shrap': 0.5}), 'no class shrap; did you mean sharp? Its'),
        (ScoreThresholds(0.5, {'x': 0.5}), 'Its classes are head, sharp, C clef'),
        (ScoreThresholds(1.5), 'score_thr=1.5: expected a number from 0 to 1'),
        (ScoreThresholds(float('nan')), 'score_thr=nan: expected'),
        (ScoreThresholds(0.5, {'sharp': -1}), 'score_thr of sharp=-1: expected'),
        (ScoreThresholds('0.5'), 'score_thr=0.5: expected a number'),
    ],
)
def test_unknown_classes_and_other_values_are_rejected(thresholds, message):
    with pytest.raises(UserError, match=re.escape(message)):
        thresholds.check(NAMES)


@pytest.mark.parametrize(
    ('texts', 'expected'),
    [
        ([], []),
        (['0.4'], [0.4]),
        (['C clef=0.3', '0.4', 'a=b=1'], [0.4, {'C clef': 0.3, 'a=b': 1.0}]),
        (['sharp=0'], [{'sharp': 0.0}]),
    ],
)
def test_options_are_a_number_and_numbers_of_classes_in_any_order(texts, expected):
    assert collect_score_thr(texts) == expected


@pytest.mark.parametrize(
    'text', ['2', 'nan', 'sharp', 'sharp=', '=0.3', 'sharp=1.01', 'sharp=-0.1']
)
def test_options_without_a_number_from_0_to_1_are_rejected(text):
    with pytest.raises(UserError, match=rf'--score-thr {text}: expected a number from 0 to 1'):
        collect_score_thr([text])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_no_threshold_of_a_class_has_a_higher_f1_than_the_chosen_one(seed, num_images):
    """So the mean over the classes with an own threshold is at least that of any single one. Over all
    objects, F1 is at least that of the best single one.
    """
    rng = np.random.default_rng(seed)
    curves = make_curves([draw_images(rng, each, num_images) for each in draw_classes(rng, 3)])
    chosen = choose_thresholds(curves, NAMES)
    own = [
        (curve, chosen.by_class[name])
        for name, curve in zip(NAMES, curves.by_class, strict=True)
        if name in chosen.by_class
    ]
    for curve, threshold in own:
        assert curve.num_objects >= MIN_OBJECTS
        assert curve.compute_f1_at(threshold) == curve.f1.max()
    best = np.mean([curve.compute_f1_at(threshold) for curve, threshold in own] or [0])
    for threshold in np.concatenate([curve.scores for curve in curves.by_class]):
        assert np.mean([curve.compute_f1_at(threshold) for curve, _ in own] or [0]) <= best
    single = compute_f1_scores(curves, ScoreThresholds(chosen.overall), NAMES)
    scores = compute_f1_scores(curves, chosen, NAMES)
    assert scores.mean >= single.mean
    assert scores.overall >= single.overall


def test_an_own_threshold_that_lowers_f1_of_all_objects_is_not_taken():
    """Nine more objects of a class with 10, among 60 false detections, cost more than they bring;
    those of the second class do not.
    """
    changes = np.array([[69, 9], [12, 10]])
    kept = find_harmless(changes, counts=(101, 101), num_objects=130)
    assert kept.tolist() == [False, True]
    assert find_harmless(changes[:0], (101, 101), 130).tolist() == []


def test_a_rare_class_with_low_scores_is_found_and_f1_of_all_objects_rises():
    """As of sharps among note heads: found at 0.3, hidden by 0.68."""
    rng = np.random.default_rng(0)
    common = Quality(found=0.98, spread=0.05, num_false=1, logit=2.5, margin=4)
    rare = Quality(found=0.98, spread=0.05, num_false=0.2, logit=-1, margin=4)
    images = [draw_images(rng, common, 60), draw_images(rng, rare, 8), draw_images(rng, rare, 2)]
    curves = make_curves(images)
    chosen = choose_thresholds(curves, NAMES)
    assert chosen.by_class.keys() == {'head', 'sharp'}  # few C clefs
    single = compute_f1_scores(curves, ScoreThresholds(chosen.overall), NAMES)
    scores = compute_f1_scores(curves, chosen, NAMES)
    assert scores.overall > single.overall
    assert scores.mean > single.mean + 0.1


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(any), max_size=30),
    st.sampled_from(['F1', 'IoU']),
)
@settings(max_examples=40, deadline=None)
def test_an_interval_contains_its_score_and_is_narrow_for_no_few_images(rows, metric):
    right, wrong = np.array(rows, int).reshape(-1, 2).T
    low, high = ImageCounts(right, wrong).compute_interval(metric)
    assert 0 <= low <= ImageCounts(right, wrong).compute_score(metric) <= high <= 1
    assert low < 0.8 or len(rows) >= (8 if metric == 'F1' else 16)


def test_as_few_images_as_the_page_says_can_be_good():
    for metric, fewest in (('F1', 8), ('IoU', 16)):
        counts = ImageCounts(np.ones(fewest, int), np.zeros(fewest, int))
        assert counts.compute_interval(metric)[0] >= 0.8


@pytest.mark.parametrize('task', ['detector', 'classifier', 'segmentor'])
def test_good_is_wrong_of_fewer_than_one_simulated_set_in_twenty(task):
    """The score alone would be wrong more often. tests/evaluation/simulated.py judges more sets."""
    verdicts = judge_sets(
        task, num_sets=40, num_classes=1 + (task == 'classifier'), num_checkpoints=1
    )
    wrong = [
        verdict for verdict, lowest, _ in verdicts if verdict.startswith('good') and lowest < GOOD
    ]
    assert wrong.count('good') < len(verdicts) / 20
    assert wrong.count('good so far') > wrong.count('good')
