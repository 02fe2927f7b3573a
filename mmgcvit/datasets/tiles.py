"""Cut random tiles out of training images."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from ..errors import UserError
from ..ops.rle import RLE, encode_annotation, encode_rle
from ..registry import TRANSFORMS
from .annotations import Size

Results = dict[str, Any]  # a sample, which transforms change
CocoMask = list[list[float]] | RLE  # polygons, or RLE
# An object of which a tile shows a smaller part is ignored: neither an object nor background
MIN_VISIBLE = 0.3
# Probability that a tile is put at an object, or at a class of a map: large images are mostly empty
OBJECT_TILES = 0.75


@TRANSFORMS.register_module()
class RandomTile(BaseTransform):
    """Cut a random tile of ``side`` pixels out of a larger image with boxes and masks, which keep
    their visible part.

    It precedes ``LoadAnnotations``, because bitmaps of hundreds of objects in a whole large image
    would take gigabytes.
    """

    def __init__(self, side: int):
        self.side = side

    def transform(self, results: Results) -> Results:
        """Cut the image and the ``instances`` of mmdet's ``results``, which become those of an
        image of this size.
        """
        if 'gt_bboxes' in results:
            raise UserError(
                'mmgcvit.RandomTile is after LoadAnnotations. Move it before LoadAnnotations'
            )
        corners = [instance['bbox'] for instance in results['instances']]
        boxes = np.array(corners, float).reshape(-1, 2, 2)  # n, [[left, top], [right, bottom]]
        corner = self.choose_corner(boxes, results['img'].shape[1::-1])
        left, top = corner
        tile = np.s_[top : top + self.side, left : left + self.side]
        results['img'] = results['img'][tile]
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        cut = np.clip(boxes - corner, 0, results['img_shape'][::-1])
        visible = np.diff(cut, axis=1).prod((1, 2)) / np.diff(boxes, axis=1).prod((1, 2))
        instances = []
        for instance, box, part in zip(results['instances'], cut, visible, strict=True):
            if part > 0:
                instances.append(instance)
                instance['bbox'] = box.ravel().tolist()
                instance['ignore_flag'] = int(instance['ignore_flag'] or part < MIN_VISIBLE)
                if 'mask' in instance:
                    instance['mask'] = cut_mask(instance['mask'], corner, tile)
        results['instances'] = instances
        return results

    def choose_corner(self, boxes: NDArray[np.float64], image_size: Size) -> NDArray[np.int64]:
        """Return the [left, top] of a random tile, which mostly shows the centre of a random box.

        ``boxes`` (n, 2, 2) are corners in an image of (width, height).
        """
        shown = None
        if len(boxes) and np.random.rand() < OBJECT_TILES:
            shown = boxes[np.random.randint(len(boxes))].mean(0).astype(int)
        return choose_corner(image_size, self.side, shown)


@TRANSFORMS.register_module()
class RandomMapTile(BaseTransform):
    """Cut a random tile of ``side`` pixels out of a larger image and its segmentation map.

    Three of four tiles show a random pixel of a random class in the map, so that classes of few
    pixels are trained as often as others.
    """

    def __init__(self, side: int, ignore_index: int = 255):
        self.side = side
        self.ignore_index = ignore_index

    def transform(self, results: Results) -> Results:
        """Cut the image and the map of mmseg's ``results``, which become those of an image of this
        size.
        """
        if 'gt_seg_map' not in results:
            raise UserError(
                'mmgcvit.RandomMapTile is before LoadAnnotations. Move it behind LoadAnnotations'
            )
        label_map = results['gt_seg_map']
        shown = None
        if np.random.rand() < OBJECT_TILES:
            shown = self.choose_pixel(label_map)
        left, top = choose_corner(label_map.shape[::-1], self.side, shown)
        tile = np.s_[top : top + self.side, left : left + self.side]
        results['img'] = results['img'][tile]
        results['gt_seg_map'] = label_map[tile]
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        return results

    def choose_pixel(self, label_map: NDArray[np.integer[Any]]) -> NDArray[np.int64] | None:
        """Return the [x, y] of a random pixel of a random class in a map (height, width), or None
        if all of it is ignored.
        """
        counts = np.bincount(label_map.ravel())
        counts[self.ignore_index : self.ignore_index + 1] = 0
        present = np.flatnonzero(counts)
        if not len(present):
            return None
        label = np.random.choice(present)
        pixels = np.flatnonzero(label_map == label)
        y, x = np.unravel_index(np.random.choice(pixels), label_map.shape)
        return np.array([x, y])


def choose_corner(
    image_size: Size, side: int, shown: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Return the [left, top] of a random tile in an image of (width, height), which shows the pixel
    [x, y] if it is given.
    """
    lowest: NDArray[np.int64] = np.zeros(2, np.int64)
    highest = np.subtract(image_size, side).clip(0)
    if shown is not None:
        lowest = np.clip(shown - side + 1, 0, highest)
        highest = np.clip(shown, 0, highest)
    return np.random.randint(lowest, highest + 1)


def cut_mask(mask: CocoMask, corner: NDArray[np.int64], tile: tuple[slice, slice]) -> CocoMask:
    """Cut a tile out of a mask of an annotation: polygons [x, y, x, y, ...] or RLE.

    ``corner`` is the tile's [x, y].
    """
    if isinstance(mask, list):
        # Polygons need no clipping: pycocotools draws what is inside of the image.
        return [(np.array(polygon) - np.resize(corner, len(polygon))).tolist() for polygon in mask]
    from pycocotools import mask as coco_mask

    whole = coco_mask.decode(encode_annotation(mask, mask['size']))
    return encode_rle(whole[tile])
