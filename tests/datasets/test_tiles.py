"""A random tile shows what its part of the image shows: pixels, boxes and masks, cut at its edges."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from mmgcvit.datasets.tiles import MIN_VISIBLE, RandomTile


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(8, 60), st.integers(8, 60)),
    st.integers(4, 80),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40), st.integers(1, 40)), max_size=5),
)
def test_a_tile_has_the_objects_of_its_part_of_the_image(seed, size, side, places):
    """The image has the number of each object in its pixels, where objects do not cover each other."""
    height, width = size
    boxes = [(x, y, min(x + w, width), min(y + h, height)) for x, y, w, h in places if x < width and y < height]
    masks = np.zeros((len(boxes), height, width), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = 1
    position = np.arange(height * width).reshape(height, width, 1)
    np.random.seed(seed)
    found = RandomTile(side)(
        {
            'img': position,
            'gt_bboxes': HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)),
            'gt_bboxes_labels': np.arange(len(boxes)),
            'gt_ignore_flags': np.zeros(len(boxes), bool),
            'gt_masks': BitmapMasks(masks, height, width),
        }
    )
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
