"""Compute the confidence interval of a class's F1 or IoU from its counts in each image."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 1000
CHUNK = 100  # so many resamples at once, to save memory
LEVEL = 95  # in percent
# The quantile of the normal distribution for this level
Z = 1.959964
SEED = 0


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """The predictions of a class in each of n images in which it is, or is predicted.

    Units are objects of a detector, pixels of a segmentation, and the image of a classifier.
    """

    right: NDArray[np.int64]  # (n,), units that are predicted as they are
    wrong: NDArray[np.int64]  # (n,), missed units and false predictions

    def compute_score(self, metric: str) -> float:
        """Return F1 or IoU of all images together, 0 for no image."""
        return float(make_score(self.right.sum(), self.right.sum() + self.wrong.sum(), metric))

    def compute_interval(self, metric: str) -> tuple[float, float]:
        """Return the lower and the upper end of the 95 % interval of F1 or IoU.

        It spans two intervals. The percentile bootstrap over images (Efron and Tibshirani 1993,
        section 13.3) contains how much images differ, but few images without a mistake do not
        differ. Wilson's score interval (1927) of a share among as many trials as there are images
        contains what so few may not show. scipy.stats.bootstrap is not used, as it rejects a single
        image, and its resamples depend on its version.
        """
        num_images = len(self.right)
        if not num_images:
            return 0.0, 1.0
        lowest, highest = compute_wilson_interval(self.compute_score('IoU'), num_images)
        resampled = self.resample(metric)
        tail = (100 - LEVEL) / 2
        low, high = np.percentile(resampled, [tail, 100 - tail]).tolist()
        return (
            min(low, float(make_score(lowest, 1.0, metric))),
            max(high, float(make_score(highest, 1.0, metric))),
        )

    def resample(self, metric: str) -> NDArray[np.float64]:
        """Return the F1 or IoU of random draws, with repeats, of as many images, (resamples,)."""
        generator = np.random.default_rng(SEED)
        num_images = len(self.right)
        scores = []
        for _ in range(NUM_RESAMPLES // CHUNK):
            drawn = generator.integers(num_images, size=(CHUNK, num_images))
            right = self.right[drawn].sum(1)
            scores.append(make_score(right, right + self.wrong[drawn].sum(1), metric))
        return np.concatenate(scores)


def make_score(right: Any, total: Any, metric: str) -> NDArray[np.float64]:
    """Return F1 or IoU of ``right`` among ``total``, which counts a confusion for both classes.

    IoU is their ratio, and F1 is 2 IoU / (1 + IoU). 0 if the total is 0.
    """
    iou = right / np.maximum(total, np.finfo(float).tiny)
    return iou if metric == 'IoU' else 2 * iou / (1 + iou)


def compute_wilson_interval(share: float, num_trials: int) -> tuple[float, float]:
    """Return the ends of Wilson's score interval of a share of successes among trials."""
    z2 = Z**2 / num_trials
    centre = (share + z2 / 2) / (1 + z2)
    half = math.sqrt(z2 * share * (1 - share) + z2**2 / 4) / (1 + z2)
    return max(0.0, centre - half), min(1.0, centre + half)
