"""Choose the confidence thresholds of a detector: one for all classes, and own ones of classes with
enough objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..thresholds import ScoreThresholds
from .detection_curves import DetectionCurves

# If no confidence threshold has this F1, none is chosen.
MIN_F1 = 0.1
# A class with fewer objects gets the threshold of all classes. An own one, chosen on ten objects,
# costs 0.03 of F1 on other images if the class scores as the others do (0.06 for one chosen on two
# objects), and gains 0.13 if its scores lie a standard deviation lower, in simulated logits.
MIN_OBJECTS = 10


def choose_thresholds(curves: DetectionCurves, classes: Sequence[str]) -> ScoreThresholds | None:
    """Choose the threshold with the highest F1 of all objects, and for each class with enough
    objects the one with its highest F1.

    A class that is found badly may reach its highest F1 with many false detections. If they lower
    F1 of all objects under that of the single threshold, it gets the single one too. Return None if
    no threshold finds the objects.
    """
    if curves.overall.f1.max(initial=0) < MIN_F1:
        return None
    single = curves.overall.rounded_threshold
    by_class = {}
    own_counts = []
    single_counts = []
    for name, curve in zip(classes, curves.by_class, strict=True):
        if curve.num_objects >= MIN_OBJECTS and curve.f1.max(initial=0) >= MIN_F1:
            by_class[name] = curve.rounded_threshold
            own_counts.append(curve.count_at(by_class[name]))
            single_counts.append(curve.count_at(single))
    changes = np.subtract(own_counts, single_counts).reshape(-1, 2)
    is_kept = find_harmless(changes, curves.overall.count_at(single), curves.overall.num_objects)
    kept = {name: by_class[name] for name, keep in zip(by_class, is_kept, strict=True) if keep}
    return ScoreThresholds(single, kept)


def find_harmless(
    changes: NDArray[np.int64], counts: tuple[int, int], num_objects: int
) -> NDArray[np.bool_]:
    """Return which own thresholds of n classes to keep, so that F1 of all objects is at least that
    of the single one, (n,).

    ``changes``, (n, 2), are what they add to the number of detections and of right ones, and
    ``counts`` are these numbers at the single threshold.
    """
    is_kept = np.ones(len(changes), bool)
    while is_kept.any():
        detections, right = counts + changes[is_kept].sum(0)
        # a / b >= c / d, in integers, which do not round
        if right * (counts[0] + num_objects) >= counts[1] * (detections + num_objects):
            break
        # F1 of all objects without the own threshold of each class
        f1 = (right - changes[:, 1]) / (detections - changes[:, 0] + num_objects)
        is_kept[np.where(is_kept, f1, -1).argmax()] = False
    return is_kept


@dataclass(frozen=True)
class F1Scores:
    """A detector's F1 at its thresholds, of all objects together and as the mean over the classes
    that have objects, and the counts of all objects.
    """

    overall: float
    mean: float
    num_objects: int
    num_detections: int
    num_correct: int


def compute_f1_scores(
    curves: DetectionCurves, thresholds: ScoreThresholds, classes: Sequence[str]
) -> F1Scores:
    """Compute F1 at the threshold of each class. There must be an object."""
    by_class = thresholds.list_by_class(classes)
    num_detections = 0
    num_correct = 0
    scores = []
    for name, curve in zip(classes, curves.by_class, strict=True):
        counts = curve.count_at(by_class[name])
        num_detections += counts[0]
        num_correct += counts[1]
        if curve.num_objects:
            scores.append(curve.compute_f1_at(by_class[name]))
    num_objects = curves.overall.num_objects
    return F1Scores(
        overall=2 * num_correct / (num_detections + num_objects),
        mean=float(np.mean(scores)),
        num_objects=num_objects,
        num_detections=num_detections,
        num_correct=num_correct,
    )
