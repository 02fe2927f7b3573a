"""Which of the objects that a detector finds is which of those that are there.

Each object is matched once, so that a row of the confusion matrix sums to what is there: mmdet's own confusion matrix
counts an object once for every box that overlaps it, and a box once for every object.
"""

from typing import NamedTuple

import numpy as np

from ...inference import Detections
from .truths import TrueDetections


class Matching(NamedTuple):
    """How objects that are there and objects that are found belong together.

    Attributes:
        pairs: (k, 2) int64, numbers of an object that is there and of one that is found.
        missed: Numbers of those that are there and not found.
        false: Numbers of those that are found and not there, second boxes of one object among them; without those
            that lie in a crowd.
    """

    pairs: np.ndarray
    missed: np.ndarray
    false: np.ndarray


def match(found: Detections, truth: TrueDetections, iou_thr: float = 0.5) -> Matching:
    """Match objects one to one: of a class first, then those left over of any, the surest first.

    Args:
        found: The surest need not be first.
        truth: What is there.
        iou_thr: Boxes that overlap by at least this IoU belong together.
    """
    overlaps = iou_of(found.boxes, truth.boxes)
    free_truths, free_found = np.ones(len(truth), bool), np.ones(len(found), bool)
    order = np.argsort(-found.scores, kind='stable')
    pairs = []
    for allowed in (found.labels[:, None] == truth.labels[None, :], np.ones_like(overlaps, bool)):
        for number in order[free_found[order]]:
            fitting = np.where(allowed[number] & free_truths, overlaps[number], -1.0)
            best = int(fitting.argmax()) if len(fitting) else -1
            if best >= 0 and fitting[best] >= iou_thr:
                pairs.append((best, number))
                free_truths[best] = free_found[number] = False
    in_crowd = (iou_of(found.boxes, truth.crowds, mode='iof') >= iou_thr).any(1)
    return Matching(
        np.array(pairs, np.int64).reshape(-1, 2), np.flatnonzero(free_truths), np.flatnonzero(free_found & ~in_crowd)
    )


def iou_of(boxes: np.ndarray, others: np.ndarray, mode: str = 'iou') -> np.ndarray:
    """(n, m) overlaps of (n, 4) and (m, 4) boxes; mode 'iof' divides by the first boxes' own areas, as COCO does."""
    from mmdet.evaluation import bbox_overlaps

    return bbox_overlaps(boxes, others, mode=mode).reshape(len(boxes), len(others))
