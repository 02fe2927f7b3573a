"""The order of suggestions: uncertain pictures first that are unlike the training pictures and those
before them.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.own.suggestions import ranking
from mmgcvit.own.suggestions.ranking import compute_distances, rank


def make_features(*degrees):
    """Return features of two channels at these angles."""
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32).reshape(-1, 2)


def list_order(uncertainty, features, known=()):
    known = make_features(*known)
    return [each.index for each in rank(np.array(uncertainty, float), features, known)]


def test_the_next_picture_has_the_highest_product_of_uncertainty_and_distance():
    features = make_features(10, 80, 85, 45)
    # Of equal uncertainty, the farthest; then the one far from it and from the known
    assert list_order([0.5, 0.5, 0.5, 0.5], features, [0]) == [2, 3, 0, 1]
    assert list_order([0.9, 0.1, 0.1, 0.1], features, [0])[0] == 0


def test_a_picture_is_known_if_one_training_picture_is_like_it():
    """However many others are unlike it."""
    assert list_order([0.5, 0.5], make_features(3, 60), [0, *[180] * 9]) == [1, 0]


def test_without_training_pictures_the_most_uncertain_comes_first():
    assert list_order([0.2, 0.9, 0.3], make_features(0, 90, 180))[0] == 1


def test_pictures_about_which_the_model_is_certain_follow_by_their_distance():
    assert list_order([0, 0, 0.1], make_features(30, 60, 10), [0]) == [2, 1, 0]


def test_copies_of_training_pictures_and_of_each_other_come_last():
    features = make_features(0, 50, 50, 90)
    assert list_order([1, 0.5, 0.5, 0.5], features, [0])[2:] == [0, 2]


@given(seed=st.integers(0, 2**32 - 1), channels=st.integers(2, 512))
def test_a_picture_and_its_copy_have_the_distance_0(seed, channels):
    """Though the length of features in float32 is not exactly 1."""
    features = np.random.default_rng(seed).random((4, channels)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    assert (compute_distances(features, features.copy()).diagonal() == 0).all()


@given(
    pictures=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 180)), max_size=12),
    known=st.lists(st.floats(0, 180), max_size=4),
    chosen=st.integers(0, 12),
)
def test_each_picture_is_ranked_once_and_its_distance_is_to_those_before(pictures, known, chosen):
    """Also where only some are chosen one after another."""
    uncertainty = [value for value, _ in pictures]
    features = make_features(*[angle for _, angle in pictures])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, 'MAX_CHOSEN', chosen)
        found = rank(np.array(uncertainty, float), features, make_features(*known))
    assert sorted(each.index for each in found) == [*range(len(pictures))]
    before = list(make_features(*known))
    for each in found[:chosen]:
        expected = 1.0
        if before:
            expected = compute_distances(features[[each.index]], np.array(before)).min()
        assert each.distance == pytest.approx(min(expected, 1.0) if not known else expected)
        before.append(features[each.index])
