"""The ends of intervals are those of independent computations."""

import numpy as np
import pytest

from mmgcvit.own.judging.intervals import ImageCounts, compute_wilson_interval, make_score

# Few images have most of the units, so the resampled scores differ more than Wilson's interval.
RIGHT = np.array([30, 0, 20, 0, 1, 0, 1, 0, 1, 0])
WRONG = np.array([0, 25, 0, 15, 0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize(
    ('share', 'number', 'expected'),
    [
        (0.5, 10, (0.2366, 0.7634)),
        (0.9, 50, (0.7864, 0.9565)),
        (1.0, 8, (0.6756, 1.0)),
        (0.0, 8, (0.0, 0.3244)),
    ],
)
def test_wilsons_interval_has_the_values_of_his_formula(share, number, expected):
    assert compute_wilson_interval(share, number) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize('metric', ['IoU', 'F1'])
def test_the_interval_of_unequal_images_spans_95_percent_of_resampled_scores(metric):
    drawn = np.random.default_rng(1).integers(len(RIGHT), size=(20_000, len(RIGHT)))
    right = RIGHT[drawn].sum(1)
    scores = make_score(right, right + WRONG[drawn].sum(1), metric)
    expected = np.quantile(scores, [0.025, 0.975])
    found = ImageCounts(RIGHT, WRONG).compute_interval(metric)
    assert found == pytest.approx(expected, abs=0.025)


def test_the_trials_of_wilsons_interval_are_images_not_their_units():
    """Pixels of one image are right or wrong together."""
    few = ImageCounts(np.full(8, 1), np.zeros(8, int))
    large = ImageCounts(np.full(8, 1000), np.zeros(8, int))
    assert few.compute_interval('IoU') == large.compute_interval('IoU')
    assert large.compute_interval('IoU')[0] == pytest.approx(0.6756, abs=1e-4)
