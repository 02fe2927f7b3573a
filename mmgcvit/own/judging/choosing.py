"""Choose the confidence thresholds of a detector: one for all classes, and own ones of classes that
gain by it on images on which they were not chosen.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...predict.thresholds import ScoreThresholds
from .detection_curves import ClassMatches, DetectionCurves

# If no confidence threshold has this F1, none is chosen.
MIN_F1 = 0.1
# A class with fewer objects gets the threshold of all classes.
MIN_OBJECTS = 10
NUM_RESAMPLES = 100
SEED = 0
# The number of detections, and how many of them are right, in one or several rows
Counts = NDArray[np.int64]  # (..., 2)
FOUND = 0
RIGHT = 1


@dataclass(frozen=True, eq=False)
class Resamples:
    """Random draws of as many of n images as there are, with repeats."""

    weights: NDArray[np.int64]  # (r, n), how often each image is in each of r draws

    @cached_property
    def is_left_out(self) -> NDArray[np.int64]:
        """(r, n), 1 for the images that a draw leaves out."""
        return (self.weights == 0).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Trial:
    """What an own threshold of a class, chosen on the images of each of r resamples, would change
    in the images that the resample leaves out.
    """

    own: Counts  # (r, 2), at the threshold chosen on the images of the resample
    single: Counts  # (r, 2), at the threshold of all classes
    num_objects: NDArray[np.int64]  # (r,), in the images left out

    def compute_gain(self) -> float:
        """Return the mean change of the class's F1 over the resamples that leave out an object, 0
        if there are none.
        """
        has_objects = self.num_objects > 0
        if not has_objects.any():
            return 0.0
        own, single = self.own[has_objects], self.single[has_objects]
        gains = compute_f1(own, self.num_objects[has_objects]) - compute_f1(
            single, self.num_objects[has_objects]
        )
        return float(gains.mean())


def choose_thresholds(curves: DetectionCurves, classes: Sequence[str]) -> ScoreThresholds | None:
    """Choose the threshold with the highest F1 of all objects, and own ones of some classes. Return
    None if no threshold finds the objects.

    The own threshold of a class is the one with its highest F1 on the validation images. It is
    taken if the class has enough objects and such a choice holds on other images, by the bootstrap:
    thresholds are chosen on random draws of the images, and scored on those that were not drawn.
    There, F1 of the class must rise in the mean, and F1 of all objects must not fall, as a class
    that is found badly may reach its highest F1 with many false detections. F1 of all objects must
    not fall on the validation images either.
    """
    if curves.overall.f1.max(initial=0) < MIN_F1:
        return None
    single = curves.overall.rounded_threshold
    num_images = len(curves.matches[0].num_objects)
    resamples = draw_resamples(num_images)
    # At the single threshold, of all classes: in each image, and in those that are left out
    by_image = sum(matches.count_images_at(single) for matches in curves.matches)
    left_out = (resamples.is_left_out @ by_image).sum(0)
    objects_by_image = sum(matches.num_objects for matches in curves.matches)
    objects_left_out = int((resamples.is_left_out @ objects_by_image).sum())
    overall = np.array(curves.overall.count_at(single))
    by_class = {}
    num_classes = Counter(classes)
    for name, curve, matches in zip(classes, curves.by_class, curves.matches, strict=True):
        if curve.num_objects < MIN_OBJECTS or curve.f1.max(initial=0) < MIN_F1:
            continue
        if num_classes[name] > 1:  # the threshold of a name is that of all classes that have it
            continue
        trial = try_own_threshold(matches, single, resamples)
        change_left_out = (trial.own - trial.single).sum(0)
        own = curve.rounded_threshold
        change = np.subtract(curve.count_at(own), curve.count_at(single))
        is_better = trial.compute_gain() > 0
        is_harmless_elsewhere = is_harmless(change_left_out, left_out, objects_left_out)
        is_harmless_here = is_harmless(change, overall, curves.overall.num_objects)
        if is_better and is_harmless_elsewhere and is_harmless_here:
            by_class[name] = own
    return ScoreThresholds(single, by_class)


def draw_resamples(num_images: int) -> Resamples:
    """Draw the images for :data:`NUM_RESAMPLES` resamples."""
    generator = np.random.default_rng(SEED)
    shares = np.full(num_images, 1 / num_images)
    return Resamples(generator.multinomial(num_images, shares, size=NUM_RESAMPLES))


def try_own_threshold(matches: ClassMatches, single: float, resamples: Resamples) -> Trial:
    """Choose a threshold on the images of each resample, and count in the images left out."""
    weights = resamples.weights
    order = np.argsort(-matches.scores, kind='stable')
    scores = matches.scores[order]
    images = matches.images[order]
    is_correct = matches.is_correct[order]
    # A threshold keeps all detections with the same score, or none of them.
    last = np.flatnonzero(np.diff(scores, append=-1) < 0)
    own = np.zeros((len(weights), 2), np.int64)
    for row, weight in enumerate(weights):
        num_objects = weight @ matches.num_objects
        weight_of_each = weight[images]
        counts = np.stack(
            [np.cumsum(weight_of_each)[last], np.cumsum(weight_of_each * is_correct)[last]], 1
        )
        if not num_objects or not len(counts):
            threshold = single
        else:
            best = compute_f1(counts, num_objects).argmax()
            threshold = np.append(scores[last], 0)[best : best + 2].mean()
        is_kept = (weight_of_each == 0) & (scores >= threshold)
        own[row] = is_kept.sum(), (is_kept & is_correct).sum()
    return Trial(
        own=own,
        single=resamples.is_left_out @ matches.count_images_at(single),
        num_objects=resamples.is_left_out @ matches.num_objects,
    )


def compute_f1(counts: Counts, num_objects: NDArray[np.int64] | int) -> NDArray[np.float64]:
    """Return F1, (...), 0 without objects and detections."""
    return 2 * counts[..., RIGHT] / np.maximum(counts[..., FOUND] + num_objects, 1)


def is_harmless(change: Counts, counts: Counts, num_objects: int) -> bool:
    """Return whether F1 does not fall if ``change``, (2,), is added to ``counts``, (2,).

    The sum of harmless changes is harmless too: the inequality is linear in ``change``.
    """
    # (right + new right) / (detections + new detections + objects) >= right / (detections +
    # objects), in integers, which do not round
    total = counts[FOUND] + num_objects
    return bool(change[RIGHT] * total >= counts[RIGHT] * change[FOUND])


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
    for threshold, curve in zip(by_class, curves.by_class, strict=True):
        counts = curve.count_at(threshold)
        num_detections += counts[0]
        num_correct += counts[1]
        if curve.num_objects:
            scores.append(curve.compute_f1_at(threshold))
    num_objects = curves.overall.num_objects
    return F1Scores(
        overall=2 * num_correct / (num_detections + num_objects),
        mean=float(np.mean(scores)),
        num_objects=num_objects,
        num_detections=num_detections,
        num_correct=num_correct,
    )
