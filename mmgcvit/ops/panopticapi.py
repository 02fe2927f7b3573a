"""In the place of ``panopticapi``, which is on no package index: what mmdet reads and scores panoptic maps by.

Each of its modules that mmdet imports is this file, loaded by its path (:mod:`mmgcvit.ops.finder`). The numbers are
defined by "Panoptic Segmentation" (Kirillov et al., CVPR 2019) and COCO's format for panoptic results; mmdet matches
the segments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The number of pixels without a segment; numbers of segments are below the other.
VOID, OFFSET = 0, 256**3


def rgb2id(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Colours (H, W, 3), red, green, blue, to numbers of segments (H, W)."""
    return colours.astype(np.int32) @ np.array([1, 256, 256**2], np.int32)


def id2rgb(numbers: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Numbers of segments (H, W) to colours (H, W, 3), red, green, blue."""
    return (numbers[..., None] >> np.array([0, 8, 16]) & 255).astype(np.uint8)


class PQStatCat:
    """Segments of one category: matched, predicted in vain, missed; and the sum of the matches' IoU."""

    def __init__(self) -> None:
        self.tp, self.fp, self.fn, self.iou = 0, 0, 0, 0.0


class PQStat:
    """What is counted of each category, by its id."""

    def __init__(self) -> None:
        self.per_cat: dict[int, PQStatCat] = defaultdict(PQStatCat)

    def __getitem__(self, category: int) -> PQStatCat:
        return self.per_cat[category]

    def __iadd__(self, other: PQStat) -> PQStat:
        for category, counted in other.per_cat.items():
            for name, value in vars(counted).items():
                setattr(self[category], name, getattr(self[category], name) + value)
        return self

    def pq_average(
        self, categories: Mapping[int, dict[str, Any]], isthing: bool | None
    ) -> tuple[dict[str, float], dict[int, dict[str, float]]]:
        """PQ, SQ and RQ, and of how many categories they are the mean; and those of each.

        Args:
            categories: Each with ``isthing``, by its id.
            isthing: Of things or of stuff only; None for all.

        Categories without any segment, true or predicted, do not count, and are 0; a mean of none is NaN.
        """
        each, counted = {}, []
        for number, category in categories.items():
            if isthing is not None and isthing != bool(category['isthing']):
                continue
            found = self[number]
            segments = found.tp + (found.fp + found.fn) / 2
            pq, rq = (found.iou / segments, found.tp / segments) if segments else (0.0, 0.0)
            each[number] = {'pq': pq, 'sq': found.iou / found.tp if found.tp else 0.0, 'rq': rq}
            counted += [each[number]] if segments else []
        means = {
            name: sum(of[name] for of in counted) / len(counted) if counted else np.nan for name in ('pq', 'sq', 'rq')
        }
        return {**means, 'n': len(counted)}, each
