"""What detections say of labels where several explanations are near each other."""

from types import SimpleNamespace

import pytest

from mmgcvit.own.judging.detection import DetectionEvaluation
from mmgcvit.own.judging.suspects import GivenLabel, ImageLabels, Kind, LikelihoodRule, Suspect
from mmgcvit.predict.thresholds import ScoreThresholds

from .conftest import make_detections

CLASSES = ['cat', 'dog']
MODEL = SimpleNamespace(classes=CLASSES, thresholds=ScoreThresholds(0.3))
LABEL = [10, 10, 40, 40]
MISSING, SWAPPED, MISPLACED = Kind.MISSING, Kind.SWAPPED, Kind.MISPLACED


def find_kinds(found):
    """Return the kinds of suspects of an image with one cat at LABEL."""
    truth = make_detections([(LABEL, 0, 1.0)], CLASSES)
    prediction = make_detections(found, CLASSES)
    suspects = DetectionEvaluation().find_suspects(truth, prediction, MODEL).suspects
    return [each.kind for each in suspects]


@pytest.mark.parametrize(
    ('found', 'kinds'),
    [
        # A dog on it, and a cat beside it with a higher score
        ([(LABEL, 1, 0.6), ([26, 10, 56, 40], 0, 0.9)], [MISPLACED]),
        ([(LABEL, 1, 0.9), ([26, 10, 56, 40], 0, 0.6)], [SWAPPED]),
        ([(LABEL, 1, 0.9), (LABEL, 0, 0.6)], [SWAPPED]),
        ([(LABEL, 1, 0.6), (LABEL, 0, 0.9)], []),
        # The cat, and another object that overlaps it by an IoU of 0.25, 0.4
        ([(LABEL, 0, 0.9), ([28, 10, 58, 40], 1, 0.8)], [MISSING]),
        ([(LABEL, 0, 0.9), ([23, 10, 53, 40], 1, 0.8)], []),
        # Two detections of one object without a label
        ([(LABEL, 0, 0.9), ([60, 60, 80, 80], 0, 0.8), ([61, 60, 81, 80], 1, 0.7)], [MISSING]),
        # The cat beside its label is not a missing one too
        ([([29, 10, 59, 40], 0, 0.9)], [MISPLACED]),
    ],
)
def test_the_best_explanation_is_given_once(found, kinds):
    assert find_kinds(found) == kinds


def test_a_detection_on_another_label_of_its_class_moves_no_label():
    """Two cats overlap a little, and the model finds one of them."""
    beside = [26, 10, 56, 40]
    truth = make_detections([(LABEL, 0, 1.0), (beside, 0, 1.0)], CLASSES)
    prediction = make_detections([(beside, 0, 0.9)], CLASSES)
    assert not DetectionEvaluation().find_suspects(truth, prediction, MODEL).suspects


def test_the_size_of_a_suspect_is_compared_with_those_of_its_class():
    """A missing label has the class of what is found, others that of the label."""
    sizes = ImageLabels([GivenLabel(0, 100), GivenLabel(1, 1000)])
    rule = LikelihoodRule([sizes], len(CLASSES))
    missing = Suspect(kind=MISSING, given=None, found=0, given_score=0.0, found_score=0.8, size=100)
    swapped = Suspect(kind=SWAPPED, given=1, found=0, given_score=0.0, found_score=0.8, size=100)
    assert rule.compute(missing) == pytest.approx(0.8)
    assert rule.compute(swapped) == pytest.approx(0.08)
