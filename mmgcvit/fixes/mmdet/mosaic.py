"""Combine four images with their masks."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from mmdet.datasets.transforms import Mosaic as MMDetMosaic
from mmdet.structures.bbox import autocast_box_type
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from numpy.typing import NDArray

from ...registry import TRANSFORMS

Masks: TypeAlias = BitmapMasks | PolygonMasks
Edges: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom
Sample: TypeAlias = dict[str, Any]  # of mmdet's transforms


@dataclass(frozen=True)
class Place:
    """The part of an image that is in a mosaic: its edges there, and in the image."""

    in_mosaic: Edges
    in_image: Edges

    @property
    def offset(self) -> tuple[int, int]:
        """How far the image's left upper corner is from the mosaic's, to the right and down."""
        left, top, _, _ = self.in_mosaic
        crop_left, crop_top, _, _ = self.in_image
        return left - crop_left, top - crop_top


@TRANSFORMS.register_module()
class Mosaic(MMDetMosaic):
    """mmdet's Mosaic, which also combines the masks of four images.

    mmdet combines images, boxes and labels, but leaves ``gt_masks`` as they were: those of the
    first image, or an IndexError of the next transform. Remove this class when mmdet's combines
    them too.
    """

    @autocast_box_type()
    def transform(self, results: Sample) -> Sample:
        """Combine a sample with the three of ``mix_results``."""
        self.places: list[Place] = []  # of the four images, which _mosaic_combine finds
        if 'gt_masks' not in results:
            return super().transform(results)
        samples = [results, *results['mix_results']]
        # mmdet copies all of a sample.
        first, *others = [{**sample, 'gt_masks': None} for sample in samples]
        mosaic = super().transform({**first, 'mix_results': others})
        if not self.places:  # a mosaic is made with a probability, so not of each image
            return results
        masks = [
            self.place_masks(sample['gt_masks'][self.find_inside(sample, place)], place)
            for sample, place in zip(samples, self.places, strict=True)
        ]
        mosaic['gt_masks'] = masks[0].cat(masks)
        return mosaic

    def _mosaic_combine(self, *args: Any, **kwargs: Any) -> tuple[Edges, Edges]:
        edges = super()._mosaic_combine(*args, **kwargs)
        self.places.append(Place(*edges))
        return edges

    def find_inside(self, sample: Sample, place: Place) -> NDArray[np.bool_]:
        """Return which of a sample's objects (n,) mmdet keeps: those whose box is in the mosaic."""
        width, height = self.img_scale
        ratio = self.compute_ratio(*sample['img'].shape[:2])
        boxes = sample['gt_bboxes'].clone()
        boxes.rescale_([ratio, ratio])
        boxes.translate_(place.offset)
        return boxes.is_inside([2 * height, 2 * width]).numpy()

    def place_masks(self, masks: Masks, place: Place) -> Masks:
        """Resize masks (n, h, w) as their image, and put them where it is put in the mosaic.

        mmdet's CachedMosaic translates bitmaps too, which takes 7 s for 100 masks in a mosaic of
        1280x1280 px instead of 0.1 s, and fails for more than 512.
        """
        width, height = self.img_scale
        ratio = self.compute_ratio(masks.height, masks.width)
        resized = masks.resize((int(masks.height * ratio), int(masks.width * ratio)))
        size = (2 * height, 2 * width)
        if isinstance(resized, PolygonMasks):
            shift_x, shift_y = place.offset
            return resized.translate(size, shift_x).translate(size, shift_y, 'vertical')
        left, top, right, bottom = place.in_mosaic
        crop_left, crop_top, crop_right, crop_bottom = place.in_image
        placed = np.zeros((len(resized), *size), np.uint8)
        cropped = resized.masks[:, crop_top:crop_bottom, crop_left:crop_right]
        placed[:, top:bottom, left:right] = cropped
        return BitmapMasks(placed, *size)

    def compute_ratio(self, height: int, width: int) -> float:
        """Return the ratio by which mmdet resizes an image."""
        return min(self.img_scale[1] / height, self.img_scale[0] / width)
