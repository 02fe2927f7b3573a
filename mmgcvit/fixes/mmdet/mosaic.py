"""Combine four images with their masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from mmdet.datasets.transforms import Mosaic as MMDetMosaic
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from ...registry import TRANSFORMS

Masks: TypeAlias = BitmapMasks | PolygonMasks
Edges: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom
Sample: TypeAlias = dict[str, Any]  # of mmdet's transforms


@dataclass(frozen=True)
class Place:
    """The part of an image that is in a mosaic: its edges there, and in the image."""

    in_mosaic: Edges
    in_image: Edges


@TRANSFORMS.register_module()
class Mosaic(MMDetMosaic):
    """mmdet's Mosaic, which also combines the masks of four images.

    mmdet combines images, boxes and labels, but leaves ``gt_masks`` as they were: those of the
    first image, or an IndexError of the next transform. Remove this class when mmdet's combines
    them too.
    """

    def transform(self, results: Sample) -> Sample:
        """Combine a sample with the three of ``mix_results``."""
        self.places: list[Place] = []  # of the four images, which _mosaic_combine finds
        if 'gt_masks' not in results:
            return super().transform(results)
        samples = [results, *results['mix_results']]
        numbered = number_objects(samples)
        mosaic = super().transform({**numbered[0], 'mix_results': numbered[1:]})
        if not self.places:  # a mosaic is made with a probability, so not of each image
            return results
        masks = [
            self.place_masks(sample['gt_masks'], place)
            for sample, place in zip(samples, self.places, strict=True)
        ]
        flags = np.concatenate([sample['gt_ignore_flags'] for sample in samples])
        kept = mosaic['gt_ignore_flags']
        mosaic['gt_ignore_flags'] = flags[kept]
        mosaic['gt_masks'] = masks[0].cat(masks)[kept]
        return mosaic

    def _mosaic_combine(self, *args: Any, **kwargs: Any) -> tuple[Edges, Edges]:
        edges = super()._mosaic_combine(*args, **kwargs)
        self.places.append(Place(*edges))
        return edges

    def place_masks(self, masks: Masks, place: Place) -> Masks:
        """Resize masks (n, h, w) as their image, and put them where it is put in the mosaic."""
        width, height = self.img_scale
        ratio = min(height / masks.height, width / masks.width)
        resized = masks.resize((int(masks.height * ratio), int(masks.width * ratio)))
        size = (2 * height, 2 * width)
        left, top, right, bottom = place.in_mosaic
        crop_left, crop_top, crop_right, crop_bottom = place.in_image
        if isinstance(resized, PolygonMasks):
            moved = resized.translate(size, left - crop_left, 'horizontal')
            return moved.translate(size, top - crop_top, 'vertical')
        placed = np.zeros((len(resized), *size), np.uint8)
        cropped = resized.masks[:, crop_top:crop_bottom, crop_left:crop_right]
        placed[:, top:bottom, left:right] = cropped
        return BitmapMasks(placed, *size)


def number_objects(samples: Sequence[Sample]) -> list[Sample]:
    """Return samples without masks, whose ignore flags are replaced by the objects' numbers.

    mmdet drops objects outside of the mosaic, and their flags. The numbers say which are left.
    """
    numbered = []
    first = 0
    for sample in samples:
        after = first + len(sample['gt_ignore_flags'])
        numbered.append({**sample, 'gt_ignore_flags': np.arange(first, after), 'gt_masks': None})
        first = after
    return numbered
