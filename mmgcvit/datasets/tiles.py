"""Train on tiles of large images: a transform for mmdet's pipelines."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from ..registry import TRANSFORMS

# An object of which a tile shows less than this part is ignored: it is neither an object nor background.
MIN_VISIBLE = 0.3
# The fraction of tiles that show an object, if the image has any. Large images are often nearly empty.
OBJECT_TILES = 0.75


@TRANSFORMS.register_module()
class RandomTile(BaseTransform):
    """Cut a random tile out of an image with boxes and masks. Cut objects keep their visible part.

    Args:
        side: Side of the tile in pixels. A smaller image is not cut.
    """

    def __init__(self, side: int) -> None:
        self.side = side

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Cut the image, the boxes and the masks of mmdet's ``results``."""
        height, width = results['img'].shape[:2]
        boxes = results['gt_bboxes']
        lowest, highest = np.zeros(2, int), np.maximum((width - self.side, height - self.side), 0)
        if len(boxes) and np.random.rand() < OBJECT_TILES:
            centre = boxes.centers[np.random.randint(len(boxes))].numpy().astype(int)
            lowest, highest = np.clip(centre - self.side + 1, lowest, highest), np.clip(centre, lowest, highest)
        left, top = (int(value) for value in np.random.randint(lowest, highest + 1))
        right, bottom = min(left + self.side, width), min(top + self.side, height)
        results['img'] = results['img'][top:bottom, left:right]
        results['img_shape'] = results['img'].shape[:2]
        areas = boxes.areas
        boxes.translate_([-left, -top])
        boxes.clip_(results['img_shape'])
        visible = (boxes.areas / areas.clamp(min=1e-6)).numpy()
        kept = visible > 0
        results['gt_bboxes'] = boxes[kept]
        results['gt_bboxes_labels'] = results['gt_bboxes_labels'][kept]
        results['gt_ignore_flags'] = (results['gt_ignore_flags'] | (visible < MIN_VISIBLE))[kept]
        if 'gt_masks' in results:
            corners = np.array([left, top, right, bottom])
            results['gt_masks'] = results['gt_masks'][np.flatnonzero(kept)].crop(corners)
        return results
