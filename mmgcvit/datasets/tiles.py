"""Train on tiles of large images: a transform for mmdet's pipelines."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from ..errors import UserError
from ..registry import TRANSFORMS

# An object of which a tile shows less than this part is ignored: it is neither an object nor background.
MIN_VISIBLE = 0.3
# The fraction of tiles that show an object, if the image has any. Large images are often nearly empty.
OBJECT_TILES = 0.75


@TRANSFORMS.register_module()
class RandomTile(BaseTransform):
    """Cut a random tile out of an image with boxes and masks. Cut objects keep their visible part.

    It precedes ``LoadAnnotations``, because bitmaps of hundreds of objects in a whole large image would take gigabytes.

    Args:
        side: Side of the tile in pixels. A smaller image is not cut.
    """

    def __init__(self, side: int) -> None:
        self.side = side

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Cut the image and the ``instances`` of mmdet's ``results``, which become those of an image of this size."""
        if 'gt_bboxes' in results:
            raise UserError('mmgcvit.RandomTile is after LoadAnnotations. Move it before LoadAnnotations')
        height, width = results['img'].shape[:2]
        boxes = np.array([instance['bbox'] for instance in results['instances']], float).reshape(-1, 2, 2)
        lowest, highest = np.zeros(2, int), np.maximum((width - self.side, height - self.side), 0)
        if len(boxes) and np.random.rand() < OBJECT_TILES:
            centre = boxes[np.random.randint(len(boxes))].mean(0).astype(int)
            lowest, highest = np.clip(centre - self.side + 1, lowest, highest), np.clip(centre, lowest, highest)
        corner = np.random.randint(lowest, highest + 1)
        tile = np.s_[corner[1] : corner[1] + self.side, corner[0] : corner[0] + self.side]
        results['img'] = results['img'][tile]
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        cut = np.clip(boxes - corner, 0, results['img_shape'][::-1])
        visible = np.diff(cut, axis=1).prod((1, 2)) / np.diff(boxes, axis=1).prod((1, 2))
        for instance, box, part in zip(results['instances'], cut, visible, strict=True):
            instance['bbox'] = box.ravel().tolist()
            instance['ignore_flag'] = int(instance['ignore_flag'] or part < MIN_VISIBLE)
            if part > 0 and 'mask' in instance:
                instance['mask'] = cut_mask(instance['mask'], corner, tile)
        results['instances'] = [results['instances'][index] for index in np.flatnonzero(visible > 0)]
        return results


def cut_mask(mask: list | dict, corner: NDArray[np.int64], tile: tuple[slice, slice]) -> list | dict:
    """Cut a tile out of a mask of an annotation: polygons [x, y, x, y, ...] or RLE. ``corner`` is the tile's [x, y]."""
    if isinstance(mask, list):
        # Polygons need no clipping: pycocotools draws what is inside of the image.
        return [(np.array(polygon) - np.resize(corner, len(polygon))).tolist() for polygon in mask]
    from pycocotools import mask as coco_mask

    rle = coco_mask.frPyObjects(mask, *mask['size']) if isinstance(mask['counts'], list) else mask
    rle = coco_mask.encode(np.asfortranarray(coco_mask.decode(rle)[tile]))
    return {**rle, 'counts': rle['counts'].decode()}
