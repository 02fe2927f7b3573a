"""The confidence thresholds of a detector: their values, their choice, and how often the verdict
that rests on them is wrong.
"""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmgcvit.commands.options import collect_score_thr
from mmgcvit.errors import UserError
from mmgcvit.own.judging.choosing import (
    MIN_OBJECTS,
    choose_thresholds,
    compute_f1,
    compute_f1_scores,
    is_harmless,
)
from mmgcvit.own.judging.intervals import ImageCounts
from mmgcvit.own.judging.verdict import GOOD
from mmgcvit.predict.thresholds import ScoreThresholds, parse_metadata, parse_thresholds

from ..own.judging.simulated import Quality, draw_classes, draw_images, judge_sets, make_curves

NAMES = ['head', 'sharp', 'C clef']
COMMON = Quality(found=0.98, spread=0.05, num_false=1, logit=2.5, margin=4)
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
    assert both.list_by_class(NAMES) == [0.6, 0.3, 0.4]
    assert str(both) == '0.6 (sharp 0.3, C clef 0.4)'
    repeated = ['sharp', 'head', 'sharp']
    assert chosen.list_by_class(repeated) == [0.3, 0.6, 0.3], 'a name is that of both classes'
    composed, decomposed = 'caf\u00e9', 'cafe\u0301'  # as Linux and macOS write it
    accented = ScoreThresholds(0.6, {composed: 0.3})
    accented.check([decomposed])
    assert accented.list_by_class([decomposed, 'sharp']) == [0.3, 0.6]


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


@example(numbers=(0, 0, 1), changes=[(5, -42)])
@given(
    numbers=st.tuples(*[st.integers(0, 50)] * 3).filter(any),
    changes=st.lists(st.tuples(*[st.integers(-50, 50)] * 2)),
)
def test_changes_that_do_no_harm_alone_do_no_harm_together(numbers, changes):
    """F1 of all objects does not fall, whatever the numbers. There is an object or a detection: without
    any, F1 is 0, and no change is possible.
    """
    num_right, num_false, num_missed = numbers
    counts = np.array([num_right + num_false, num_right])
    num_objects = num_right + num_missed
    harmless = [each for each in changes if is_harmless(np.array(each), counts, num_objects)]
    together = counts + np.array(harmless, int).reshape(-1, 2).sum(0)
    if together[0] + num_objects > 0:
        before = compute_f1(counts, num_objects)
        assert 2 * together[1] / (together[0] + num_objects) >= before - 1e-12


def test_an_own_threshold_that_lowers_f1_of_all_objects_is_harmful():
    """Nine more objects of a class with 10, among 60 false detections, cost more than they bring."""
    counts = np.array([101, 101])
    assert not is_harmless(np.array([69, 9]), counts, 130)
    assert is_harmless(np.array([12, 10]), counts, 130)


def count_own_thresholds(other, num_sets=10):
    """Count the validation sets in which a class gets a threshold of its own, beside another one."""
    rng = np.random.default_rng(0)
    taken = 0
    for _ in range(num_sets):
        curves = make_curves([draw_images(rng, COMMON, 40), draw_images(rng, other, 12)])
        taken += 'other' in choose_thresholds(curves, ['common', 'other']).by_class
    return taken


def test_an_own_threshold_is_taken_if_the_choice_holds_on_images_left_out():
    """It holds for a class that scores lower than the others. By chance the best threshold of one
    that scores as they do is another one in the same number of images.
    """
    rare = replace(COMMON, num_false=0.2)
    assert count_own_thresholds(replace(rare, logit=-1)) >= 8
    assert count_own_thresholds(rare) <= 3


def test_a_class_that_one_image_has_gets_no_threshold_of_its_own():
    """No draw of the images tells whether it holds on others."""
    objects = np.zeros(20)
    image = {
        'dtScores': np.linspace(0.1, 0.3, 20),
        'dtMatches': np.ones((1, 20)),
        'dtIgnore': np.zeros((1, 20), bool),
        'gtIgnore': objects,
    }
    rng = np.random.default_rng(0)
    curves = make_curves([draw_images(rng, COMMON, 30), [image]])
    assert 'rare' not in choose_thresholds(curves, ['common', 'rare']).by_class


def make_curves_of_a_rare_class():
    """Return curves of a common class, of a rare one with low scores, and of one that is too rare."""
    rng = np.random.default_rng(0)
    rare = Quality(found=0.98, spread=0.05, num_false=0.2, logit=-1, margin=4)
    images = [draw_images(rng, COMMON, 60), draw_images(rng, rare, 8), draw_images(rng, rare, 2)]
    return make_curves(images)


def test_classes_that_share_a_name_have_no_threshold_of_their_own():
    """A name could not say of which of them it is."""
    curves = make_curves_of_a_rare_class()
    assert 'sharp' in choose_thresholds(curves, NAMES).by_class
    assert 'sharp' not in choose_thresholds(curves, ['head', 'sharp', 'sharp']).by_class


def test_a_rare_class_with_low_scores_is_found_and_f1_of_all_objects_rises():
    """As of sharps among note heads: found at 0.3, hidden by 0.68."""
    curves = make_curves_of_a_rare_class()
    chosen = choose_thresholds(curves, NAMES)
    assert 'sharp' in chosen.by_class
    assert 'C clef' not in chosen.by_class  # too few
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


@pytest.mark.slow
@pytest.mark.parametrize('task', ['detector', 'classifier', 'segmentor'])
def test_good_is_wrong_of_fewer_than_one_simulated_set_in_twenty(task):
    """The score alone would be wrong more often. tests/own/judging/simulated.py judges more sets."""
    verdicts = judge_sets(
        task, num_sets=40, num_classes=1 + (task == 'classifier'), num_checkpoints=1
    )
    wrong = [
        verdict for verdict, lowest, _ in verdicts if verdict.startswith('good') and lowest < GOOD
    ]
    assert wrong.count('good') < len(verdicts) / 20
    assert wrong.count('good so far') > wrong.count('good')
