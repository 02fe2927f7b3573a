"""How uncertain a model is about a picture: near the thresholds, and unlike under a mirror."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.own.suggestions.uncertainty import (
    ClassificationMeter,
    DetectionMeter,
    SegmentationMeter,
    SegmentedPicture,
    Uncertainty,
    measure_pixels,
)
from mmgcvit.predict.results import Classification, Detections
from mmgcvit.predict.thresholds import ScoreThresholds

WIDTH = 100
CLASSES = ['cat', 'dog']
DETECTOR = SimpleNamespace(classes=CLASSES, thresholds=ScoreThresholds(0.4, {'dog': 0.8}))


def detect(*objects):
    """Return detections: (label, score) or (label, score, left)."""
    lefts = [rest[0] if rest else 10 for _, _, *rest in objects]
    return Detections(
        boxes=np.array([[left, 5, left + 20, 30] for left in lefts], np.float32).reshape(-1, 4),
        scores=np.array([score for _, score, *_ in objects], np.float32),
        labels=np.array([label for label, *_ in objects], np.int64),
        classes=['cat', 'dog'],
    )


@pytest.mark.parametrize(
    ('objects', 'expected'),
    [
        ((), 0),
        (((0, 0.4),), 1),
        (((1, 0.8),), 1),
        (((0, 0.7),), 0.5),
        (((0, 0.2),), 0.5),
        (((1, 0.2),), 0.25),
        (((0, 1.0),), 0),
        (((0, 1.0), (1, 0.9)), 0.5),
    ],
)
def test_nearness_is_that_of_the_object_nearest_to_the_threshold_of_its_class(objects, expected):
    assert DetectionMeter(DETECTOR).measure_nearness(detect(*objects)) == pytest.approx(expected)


def test_objects_below_the_threshold_are_measured_too(models, picture):
    """Those of a score under 0.05 are not: a detector returns them anyway."""
    everything = models['detection'](picture).scores
    lowest = float(np.median(everything))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmgcvit.own.suggestions.uncertainty.MIN_SCORE', lowest)
        model = replace(models['detection'], score_thr=0.99, class_score_thr={'0': 0.99})
        found = DetectionMeter(model).find(picture).scores
    np.testing.assert_allclose(found, everything[everything >= np.float32(lowest)], atol=1e-4)


@pytest.mark.parametrize('threshold', [0, 1])
@given(score=st.floats(0, 1))
def test_nearness_is_from_0_to_1_at_any_threshold(threshold, score):
    model = SimpleNamespace(classes=CLASSES, thresholds=ScoreThresholds(threshold, {'dog': 0.5}))
    assert 0 <= DetectionMeter(model).measure_nearness(detect((0, score))) <= 1


@pytest.mark.parametrize(
    ('first', 'second', 'expected'),
    [
        ((), (), 0),
        (((0, 0.9),), ((0, 0.5),), 0),
        (((0, 0.9),), (), 1),
        (((0, 0.9),), ((0, 0.3),), 1),  # below its threshold
        (((0, 0.9),), ((1, 0.9),), 1),  # another class
        (((0, 0.9, 10), (0, 0.9, 60)), ((0, 0.9, 60),), 0.5),
        (((0, 0.9, 10),), ((0, 0.9, 40),), 1),  # elsewhere
    ],
)
def test_the_change_is_the_share_of_objects_that_only_one_prediction_has(first, second, expected):
    assert DetectionMeter(DETECTOR).compare(detect(*first), detect(*second)) == expected


def test_what_is_found_in_a_mirror_image_is_put_back():
    found = detect((0, 0.9, 15))
    mirrored = DetectionMeter(DETECTOR).mirror(found, WIDTH)
    assert mirrored.boxes.tolist() == [[65, 5, 85, 30]]
    assert DetectionMeter(DETECTOR).mirror(mirrored, WIDTH).boxes.tolist() == found.boxes.tolist()
    segmented = SegmentedPicture(np.array([[0, 1, 2]], np.int32), 0.5)
    assert SegmentationMeter(None).mirror(segmented, 3).label_map.tolist() == [[2, 1, 0]]


def classify(*scores):
    return Classification(0, 'a', scores[0], np.array(scores, np.float32))


@pytest.mark.parametrize(
    ('scores', 'nearness'), [((0.5, 0.5), 1), ((1, 0), 0), ((0.7, 0.2, 0.1), 0.5), ((1,), 0)]
)
def test_nearness_of_two_best_classes(scores, nearness):
    """Of a picture's classes, and in the mean of those of its pixels."""
    assert ClassificationMeter(None).measure_nearness(classify(*scores)) == pytest.approx(nearness)
    logits = torch.tensor(scores)[:, None, None].float().log().expand(-1, 2, 3)
    if len(scores) > 1:
        assert measure_pixels(logits).mean().item() == pytest.approx(nearness, abs=1e-6)


@pytest.mark.parametrize(('probability', 'nearness'), [(0.5, 1), (1, 0), (0, 0), (0.75, 0.5)])
def test_a_single_channel_is_the_probability_of_the_second_of_two_classes(probability, nearness):
    """mmseg has applied the sigmoid to it."""
    assert measure_pixels(torch.full((1, 2, 3), float(probability))).mean().item() == nearness


class PixelModel:
    """A segmentor whose logits are the first channel of the image; it notes the sizes of tiles."""

    tiles_per_batch = 4

    def __init__(self, tiles):
        self.tiles = tiles
        self.sizes = set()

    def compute_logits(self, tiles):
        self.sizes |= {tile.shape[:2] for tile in tiles}
        first = [torch.tensor(tile[..., 0].astype(np.float32)) for tile in tiles]
        return [torch.stack([values, 128 - values]) / 100 for values in first]

    def choose_classes(self, logits):
        return logits.argmax(0)


def test_a_segmentor_of_tiles_is_measured_in_tiles():
    """Each pixel's logits are its own here, so tiles and the whole picture measure the same."""
    picture = np.random.default_rng(0).integers(0, 255, (50, 90, 3)).astype(np.uint8)
    whole, tiled = PixelModel(None), PixelModel(32)
    expected = SegmentationMeter(whole).measure(picture, with_mirrored=True)
    measured = SegmentationMeter(tiled).measure(picture, with_mirrored=True)
    assert (whole.sizes, tiled.sizes) == ({(50, 90)}, {(32, 32)})
    assert measured.nearness == pytest.approx(expected.nearness, abs=1e-5)
    assert measured.change == pytest.approx(expected.change, abs=1e-5)


def test_the_change_of_scores_and_of_pixels():
    first, second = classify(0.7, 0.2, 0.1), classify(0.4, 0.5, 0.1)
    assert ClassificationMeter(None).compare(first, second) == pytest.approx(0.3)
    segmented, other = (
        SegmentedPicture(np.array([[0, label], [0, 0]], np.int32), 0.5) for label in (0, 1)
    )
    assert SegmentationMeter(None).compare(segmented, other) == 0.25


def test_the_uncertainty_is_the_mean_or_the_only_number():
    assert Uncertainty(0.5, 0.1).overall == pytest.approx(0.3)
    assert Uncertainty(0.5, None).overall == 0.5
