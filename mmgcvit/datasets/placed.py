"""Single scans of digits at their own size, at places that lie patches apart, or pixels."""

from typing import Any, ClassVar

import numpy as np
from mmpretrain.datasets import BaseDataset
from numpy.typing import NDArray

from ..registry import DATASETS
from .digits import SceneComposer

# Sides of the image and of a scan, and the first of the places along a side, in pixels; how many places there are.
SIZE, SCAN, FIRST, PLACES = 32, 8, 8, 4


@DATASETS.register_module()
class PlacedDigits(BaseDataset):
    """Scans of 8x8 px, each alone on an image of 32x32 px at one of 16 places; composed in memory.

    Every scan of a split is on as many images, give or take one, each time in other colours.

    Args:
        train: Whether of the scans for training, or of the others, which are for validation.
        num_images: How many.
        step: From one place to the next, of four along each side, in pixels; at most 5.
        settings: Those of mmpretrain's ``BaseDataset``.
    """

    METAINFO: ClassVar = {'classes': tuple('0123456789')}

    def __init__(self, train: bool, num_images: int, step: int, **settings: Any) -> None:
        self.train, self.num_images, self.step = train, num_images, step
        super().__init__(ann_file='', **settings)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Images, (32, 32, 3) in RGB, and their labels."""
        composer = SceneComposer('train' if self.train else 'val', SIZE)
        scans = np.resize(composer.scans, self.num_images).tolist()
        return [{'img': self.compose(composer, scan), 'gt_label': composer.digits[scan]} for scan in scans]

    def compose(self, composer: SceneComposer, scan: int) -> NDArray[np.uint8]:
        image = composer.dark_noise()
        top, left = FIRST + self.step * composer.rng.integers(0, PLACES, size=2)
        place = image[top : top + SCAN, left : left + SCAN]
        composer.drawn_into(place, scan, np.zeros((SCAN, SCAN), dtype=bool), smallest=16, largest=16)
        return image.round().astype(np.uint8)
