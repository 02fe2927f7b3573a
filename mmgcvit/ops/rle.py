"""Encode masks in COCO's RLE, in memory for the part of an image that a mask covers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .requirements import check_installed

# In bytes: the masks of an image are an array if they do not need more.
MAX_MASK_BYTES = 1 << 30
# A mask as COCO's RLE: ``size`` and ``counts``
RLE = dict[str, Any]


@dataclass(frozen=True)
class EncodedMasks:
    """The masks of the objects of an image, as RLE."""

    masks: list[RLE]
    size: tuple[int, int]  # the image's (height, width)

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, indices: Iterable[int]) -> 'EncodedMasks':
        """Return the masks with these indices."""
        return EncodedMasks([self.masks[index] for index in indices], self.size)


def find_rle_boxes(masks: list[RLE]) -> list[list[int]]:
    """Return the box [left, top, width, height] of each mask, zeros if it is empty."""
    check_installed('reading masks', 'pycocotools')
    from pycocotools import mask as coco_mask

    return [coco_mask.toBbox(mask).astype(int).tolist() for mask in masks]


def encode_annotation(mask: list[Any] | RLE, size: tuple[int, int]) -> RLE:
    """Return the mask of an annotation, polygons [x, y, x, y, ...] or RLE of any kind, as
    compressed RLE.

    ``size`` is the image's (height, width). Polygons are joined, as mmdet joins them.
    """
    check_installed('reading masks', 'pycocotools')
    from pycocotools import mask as coco_mask

    if isinstance(mask, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(mask, *size))
    elif isinstance(mask['counts'], list):
        rle = coco_mask.frPyObjects(mask, *size)
    else:
        rle = mask
    counts = rle['counts']
    return {
        'size': [*rle['size']],
        'counts': counts.decode('ascii') if isinstance(counts, bytes) else counts,
    }


def encode_rle(mask: NDArray[np.bool_]) -> RLE:
    """Encode a mask (height, width) bool in COCO's compressed RLE."""
    check_installed('writing masks', 'pycocotools')
    from pycocotools import mask as coco_mask

    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {'size': list(mask.shape), 'counts': encoded['counts'].decode('ascii')}


def encode_crop(crop: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> RLE:
    """Encode a mask of which only a crop (h, w) bool is given, as :func:`encode_rle` encodes the
    whole one.

    ``corner`` is the crop's [left, top] in the image, and ``size`` the image's (height, width).
    """
    check_installed('writing masks', 'pycocotools')
    from pycocotools import mask as coco_mask

    height, width = size
    left, top = corner
    # COCO counts pixels column by column, so only whole columns of the crop are laid out.
    columns = np.zeros((crop.shape[1], height), bool)
    columns[:, top : top + crop.shape[0]] = crop.T
    edges = np.flatnonzero(np.diff(columns.ravel(), prepend=False, append=False)) + left * height
    # Runs of 0 and 1 take turns. A run of 1 may end with the image.
    bounds = [0, *edges.tolist()]
    if bounds[-1] < height * width:
        bounds.append(height * width)
    counts = np.diff(bounds).tolist()
    encoded = coco_mask.frPyObjects({'size': [height, width], 'counts': counts}, height, width)
    return {'size': [height, width], 'counts': encoded['counts'].decode('ascii')}
