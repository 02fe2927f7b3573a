"""A random tile shows what its part of the image shows: pixels, boxes and masks, cut at its edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdet.datasets.transforms import LoadAnnotations
from pycocotools import mask as coco_mask

from mmgcvit.datasets.tiles import MIN_VISIBLE, RandomTile
from mmgcvit.errors import UserError


def encode(mask, kind):
    """Encode a rectangle of ones (height, width) as one of COCO's types of segmentations."""
    rle = coco_mask.encode(np.asfortranarray(mask))
    if kind == 'polygon':
        left, top, width, height = coco_mask.toBbox(rle)
        return [[left, top, left + width, top, left + width, top + height, left, top + height]]
    if kind == 'RLE':
        return {**rle, 'counts': rle['counts'].decode()}
    ends = np.flatnonzero(np.diff(mask.ravel(order='F'), prepend=0, append=2))
    return {'size': list(mask.shape), 'counts': np.diff(ends, prepend=0).tolist()}


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(8, 60), st.integers(8, 60)),
    st.integers(4, 80),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40), st.integers(1, 40)), max_size=5),
    st.sampled_from(['polygon', 'RLE', 'uncompressed RLE']),
)
def test_a_tile_has_the_objects_of_its_part_of_the_image(seed, size, side, places, kind):
    """Bitmaps are made of the tile only. The image has in each pixel its position."""
    height, width = size
    boxes = [(x, y, min(x + w, width), min(y + h, height)) for x, y, w, h in places if x < width and y < height]
    masks = np.zeros((len(boxes), height, width), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = 1
    position = np.arange(height * width).reshape(height, width, 1)
    instances = [
        {'bbox': box, 'bbox_label': label, 'ignore_flag': 0, 'mask': encode(mask, kind)}
        for label, (box, mask) in enumerate(zip(boxes, masks, strict=True))
    ]
    np.random.seed(seed)
    cut = RandomTile(side)({'img': position, 'ori_shape': size, 'instances': instances})
    found = LoadAnnotations(with_bbox=True, with_mask=True)(cut)
    with pytest.raises(UserError, match='Move it before LoadAnnotations'):
        RandomTile(side)(found)
    tile = found['img'][..., 0]
    assert tile.shape == found['img_shape'] == (min(side, height), min(side, width))
    top, left = divmod(int(tile[0, 0]), width)
    window = np.s_[top : top + side, left : left + side]
    np.testing.assert_array_equal(tile, position[window][..., 0])
    parts = masks[(slice(None), *window)]
    shown = [label for label, part in enumerate(parts) if part.any()]
    assert found['gt_bboxes_labels'].tolist() == shown
    np.testing.assert_array_equal(found['gt_masks'].masks, parts[shown])
    for box, label in zip(found['gt_bboxes'].tensor.tolist(), shown, strict=True):
        rows, columns = np.nonzero(parts[label])
        assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    visible = parts[shown].sum((1, 2)) / masks[shown].sum((1, 2))
    np.testing.assert_array_equal(found['gt_ignore_flags'], visible < MIN_VISIBLE - 1e-6)
