"""Labels that a model contradicts, and how likely each of them is an error.

A label is as likely an error as the model prefers what it finds to the label: the margin between
their scores.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the image


class Kind(Enum):
    """What may be wrong with a label."""

    MISSING = 'missing'  # the model finds an object where there is no label
    EXTRA = 'extra'  # the model finds nothing where there is a label
    MISPLACED = 'misplaced'  # the model finds the object beside its label
    SWAPPED = 'swapped'  # the model finds another class


@dataclass(frozen=True)
class GivenLabel:
    """A label of the ground truth: of an object, of a region in a map, or of an image."""

    label: int  # class index
    size: int  # in pixels; 1 for an image


@dataclass(frozen=True)
class Suspect:
    """A label that the model contradicts."""

    kind: Kind
    given: int | None  # class index of the label, None if it is missing
    found: int | None  # class index of what the model finds, None if it finds nothing
    given_score: float  # of the model for the label
    found_score: float  # of the model for what it finds
    size: int  # in pixels of what is labelled or found; 1 for an image
    given_box: Box | None = None
    found_box: Box | None = None


@dataclass(frozen=True)
class ImageLabels:
    """The labels of an image, and those that the model contradicts."""

    given: Sequence[GivenLabel] = ()
    suspects: Sequence[Suspect] = ()


class LikelihoodRule:
    """Compute the likelihood of suspects among the labels of the same images."""

    def __init__(self, images: Iterable[ImageLabels], num_classes: int):
        sizes: list[list[int]] = [[] for _ in range(num_classes)]
        for image in images:
            for given in image.given:
                sizes[given.label].append(given.size)
        # (classes,), the median size of the labels of each class
        self.median_sizes = np.array([np.median(values) if values else 1.0 for values in sizes])

    def compute(self, suspect: Suspect) -> float:
        """Return the likelihood that a label is an error, a number from 0 to 1 for sorting."""
        if suspect.kind is Kind.MISSING:
            likelihood = suspect.found_score
        elif suspect.kind is Kind.EXTRA:
            likelihood = 1 - suspect.given_score
        else:
            likelihood = suspect.found_score - suspect.given_score
        label = suspect.found if suspect.given is None else suspect.given
        # A small part of an object is found, or not found, more often than an object is.
        weight = min(1.0, float(suspect.size / self.median_sizes[label]))
        return float(weight * likelihood)
