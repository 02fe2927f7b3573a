"""The outputs of an ONNX file, and the masks of an image that are made of them."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from math import ceil
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..ops.rle import MAX_MASK_BYTES

Shape = tuple[int, int]  # (height, width)
Arrays = Mapping[str, NDArray[Any]]  # of floats and ints, by the name of an output


class MaskCollector:
    """Collects masks of a shape (height, width) one by one.

    If an array of so many would need over :data:`MAX_MASK_BYTES`, and the package supervision is
    installed, only the part of each mask that is True is kept.
    """

    def __init__(self, number: int, shape: Shape):
        self.shape = shape
        is_large = number * shape[0] * shape[1] > MAX_MASK_BYTES
        self.is_compact = is_large and find_spec('supervision') is not None
        self.parts: list[Any] = []  # of a CompactMask
        self.array = np.zeros((0 if self.is_compact else number, *shape), bool)
        self.num_added = 0

    def add(self, mask: NDArray[np.bool_]) -> None:
        """Add a mask (height, width)."""
        if self.is_compact:
            import supervision as sv

            left, top, right, bottom = find_box(mask)
            box = np.array([[left, top, max(right, 1) - 1, max(bottom, 1) - 1]])
            self.parts.append(sv.CompactMask.from_dense(mask[None], box, self.shape))
        else:
            self.array[self.num_added] = mask
        self.num_added += 1

    def join(self) -> Any:
        """Return the masks as an array (number, height, width) bool, or as a CompactMask."""
        if self.is_compact:
            import supervision as sv

            return sv.CompactMask.merge(self.parts)
        return self.array


def collect_masks(masks: Iterator[NDArray[np.bool_]], number: int, shape: Shape) -> Any:
    """Return so many masks of a shape (height, width) as :class:`MaskCollector` joins them."""
    collector = MaskCollector(number, shape)
    for mask in masks:
        collector.add(mask)
    return collector.join()


def paste_masks(
    probabilities: NDArray[np.float32],
    boxes: NDArray[np.float32],
    threshold: float,
    ori_shape: Shape,
) -> Iterator[NDArray[np.bool_]]:
    """Paste probabilities (n, h, w) into their boxes (n, 4), bilinearly. Yield n masks (*ori_shape)
    bool.
    """
    for mask, (x1, y1, x2, y2) in zip(probabilities, boxes, strict=True):
        parts = []
        for side, begin, end in ((ori_shape[0], y1, y2), (ori_shape[1], x1, x2)):
            # Only pixels in the box, and half a cell around it, have a probability over 0.
            margin = (end - begin) / len(mask) / 2 + 1
            first = int(np.clip(np.floor(begin - margin), 0, side))
            last = int(np.clip(np.ceil(end + margin), first, side))
            centres = np.arange(first, last, dtype=np.float32) + 0.5
            positions = (centres - begin) / max(end - begin, 1e-6) * len(mask) - 0.5
            distances = np.abs(positions[:, None] - np.arange(len(mask), dtype=np.float32))
            mask = (np.maximum(0, 1 - distances) @ mask).T  # resize the columns after the rows
            parts.append(slice(first, last))
        whole = np.zeros(ori_shape, bool)
        whole[tuple(parts)] = mask >= threshold
        yield whole


def resize_masks(
    logits: NDArray[np.float32],
    stride: int,
    mask_type: str,
    threshold: float,
    img_shape: Shape,
    ori_shape: Shape,
) -> Iterator[NDArray[np.bool_]]:
    """Resize logits (n, h, w), and yield n masks (*ori_shape) bool: pixels with a probability above
    ``threshold``. The other arguments are those of :func:`resize_logits`.
    """
    min_logit = np.log(threshold / (1 - threshold))
    for mask_logits in logits:
        resized = resize_logits(
            logits=mask_logits,
            stride=stride,
            mask_type=mask_type,
            img_shape=img_shape,
            ori_shape=ori_shape,
        )
        yield resized > min_logit


def resize_logits(
    logits: NDArray[np.float32], stride: int, mask_type: str, img_shape: Shape, ori_shape: Shape
) -> NDArray[Any]:
    """Resize the logits (h, w) of a padded input, one for ``stride`` x ``stride`` pixels, to the
    image, *ori_shape*, as mmdet does.

    ``img_shape`` (height, width) is the input's without padding. With the ``mask_type`` 'crop'
    (Mask2Former) the padding is cropped before the second resizing, with 'resize' (RTMDet-Ins)
    after it.
    """
    padded = cv2.resize(logits, None, fx=stride, fy=stride)
    if mask_type == 'crop':
        cropped = np.ascontiguousarray(padded[: img_shape[0], : img_shape[1]])
        return cv2.resize(cropped, ori_shape[::-1])
    # mmdet multiplies by the reciprocal of the factor of the first resizing.
    height = ceil(padded.shape[0] * (1 / (img_shape[0] / ori_shape[0])))
    width = ceil(padded.shape[1] * (1 / (img_shape[1] / ori_shape[1])))
    return cv2.resize(padded, (width, height))[: ori_shape[0], : ori_shape[1]]


def find_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return the box [x1, y1, x2, y2] around a mask (height, width), zeros if it is empty."""
    columns = np.flatnonzero(mask.any(0))
    rows = np.flatnonzero(mask.any(1))
    if not len(columns):
        return 0, 0, 0, 0
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
