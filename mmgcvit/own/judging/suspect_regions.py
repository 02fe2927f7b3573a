"""Find the regions of a segmentation map that a model contradicts."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .suspects import Box, GivenLabel, ImageLabels, Kind, Suspect

MIN_SHARE = 1 / 1000  # of the image's pixels: smaller regions are left out
# A found region with an IoU under this one, but of a similar size, is a misplaced label.
MAX_MISPLACED_IOU = 0.5
MAX_SIZE_RATIO = 2.0


@dataclass(frozen=True, eq=False)
class Region:
    """Connected pixels of a class.

    The mask is that of the box only: an image of 12 megapixels may have a thousand regions.
    """

    label: int
    mask: NDArray[np.bool_]  # (height, width) of the box
    box: Box
    size: int  # in pixels

    def select(self, label_map: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """Return the values (size,) of a map (height, width) of the image in the region."""
        left, top, right, bottom = self.box
        return label_map[top:bottom, left:right][self.mask]

    def cut(self, box: Box) -> NDArray[np.bool_]:
        """Return the mask in a box that is inside of the region's."""
        left, top, right, bottom = box
        x, y, _, _ = self.box
        return self.mask[top - y : bottom - y, left - x : right - x]


def find_suspect_regions(
    labels: NDArray[np.integer[Any]],
    predicted: NDArray[np.integer[Any]],
    num_classes: int,
    background: Collection[int],
) -> ImageLabels:
    """Compare a segmentation map (height, width) with a predicted one of the same size.

    The score of a region is the share of its pixels that are predicted so. A region of the map is
    swapped if most of it is predicted as another class, misplaced if the model finds one of its
    class and size that overlaps less than half, and extra if most of it is predicted as
    background. A region that the model finds mostly on background is a missing label. Without a
    background class there are only swapped and misplaced ones.
    """
    classes = [label for label in range(num_classes) if label not in background]
    found_regions = list(iter_regions(predicted, classes))
    given = []
    suspects = []
    misplaced = []
    for region in iter_regions(labels, classes):
        given.append(GivenLabel(region.label, region.size))
        predictions = measure_predictions(
            region.select(predicted), region.label, background, num_classes
        )
        moved = find_moved(region, labels, found_regions)
        suspect = contradict(region, predictions, moved)
        if suspect is None:
            continue
        suspects.append(suspect)
        if suspect.kind is Kind.MISPLACED:
            misplaced.append(moved)
    for found in found_regions:
        share = float(np.isin(found.select(labels), list(background)).mean())
        if share >= 0.5 and not any(found is moved for moved in misplaced):
            suspects.append(
                Suspect(
                    kind=Kind.MISSING,
                    given=None,
                    found=found.label,
                    given_score=0.0,
                    found_score=share,
                    size=found.size,
                    found_box=found.box,
                )
            )
    return ImageLabels(given, suspects)


@dataclass(frozen=True)
class Predictions:
    """What is predicted for the pixels of a region, as shares of them."""

    own: float  # the class of the region
    background: float
    other: int  # the class of the other ones that has the largest share
    other_share: float


def measure_predictions(
    predicted: NDArray[np.integer[Any]], label: int, background: Collection[int], num_classes: int
) -> Predictions:
    """Return what is predicted (n,) for the pixels of a region of the class ``label``."""
    shares = count_shares(predicted, num_classes)
    own = float(shares[label])
    none = float(shares[list(background)].sum())
    shares[[label, *background]] = 0
    other = int(shares.argmax())
    return Predictions(own, none, other, float(shares[other]))


def contradict(region: Region, predictions: Predictions, moved: Region | None) -> Suspect | None:
    """Return what predictions say against the label of a region, or None.

    ``moved`` is the found region beside it that may be its own.
    """
    if (
        predictions.other_share > predictions.own
        and predictions.other_share >= predictions.background
    ):
        return Suspect(
            kind=Kind.SWAPPED,
            given=region.label,
            found=predictions.other,
            given_score=predictions.own,
            found_score=predictions.other_share,
            size=region.size,
            given_box=region.box,
            found_box=region.box,
        )
    if moved is not None:
        iou = compute_iou(region, moved)
        return Suspect(
            kind=Kind.MISPLACED,
            given=region.label,
            found=region.label,
            given_score=iou,
            found_score=1 - iou,
            size=region.size,
            given_box=region.box,
            found_box=moved.box,
        )
    if predictions.background > predictions.own:
        return Suspect(
            kind=Kind.EXTRA,
            given=region.label,
            found=None,
            given_score=1 - predictions.background,
            found_score=0.0,
            size=region.size,
            given_box=region.box,
        )
    return None


def iter_regions(label_map: NDArray[np.integer[Any]], classes: Collection[int]) -> Iterator[Region]:
    """Yield the connected regions of these classes in a segmentation map (height, width), without
    tiny ones.
    """
    min_size = max(1, round(MIN_SHARE * label_map.size))
    for label in np.intersect1d(label_map, list(classes)).tolist():
        is_label = (label_map == label).astype(np.uint8)
        number, numbers, stats, _ = cv2.connectedComponentsWithStats(is_label)
        for index in range(1, number):  # 0 is the rest of the image
            left, top, width, height, size = stats[index].tolist()
            if size >= min_size:
                box = (left, top, left + width, top + height)
                mask = numbers[top : top + height, left : left + width] == index
                yield Region(label, mask, box, size)


def count_shares(labels: NDArray[np.integer[Any]], num_classes: int) -> NDArray[np.float64]:
    """Return the share of each class among labels (n,), (classes,)."""
    return np.bincount(labels, minlength=num_classes)[:num_classes] / len(labels)


def find_moved(
    region: Region, labels: NDArray[np.integer[Any]], found_regions: Collection[Region]
) -> Region | None:
    """Return the found region of the class and size of a region in the map ``labels`` that overlaps
    it a little and no other of its class, or None.
    """
    for found in found_regions:
        ratio = found.size / region.size
        if found.label != region.label or not 1 / MAX_SIZE_RATIO < ratio < MAX_SIZE_RATIO:
            continue
        shared = count_shared(found, region)
        if not shared:
            continue
        is_alone = np.count_nonzero(found.select(labels) == region.label) == shared
        if is_alone and compute_iou(region, found) < MAX_MISPLACED_IOU:
            return found
    return None


def compute_iou(first: Region, second: Region) -> float:
    """Compute the IoU of two regions."""
    shared = count_shared(first, second)
    return shared / (first.size + second.size - shared)


def count_shared(first: Region, second: Region) -> int:
    """Return the number of pixels that two regions share."""
    left, top = np.maximum(first.box[:2], second.box[:2]).tolist()
    right, bottom = np.minimum(first.box[2:], second.box[2:]).tolist()
    if right <= left or bottom <= top:
        return 0
    shared = (left, top, right, bottom)
    return int(np.count_nonzero(first.cut(shared) & second.cut(shared)))
