"""Write miniatures of COCO, ADE20K and ImageNet-1K: the same folders and classes, with a few images of digits.

Each function writes into a new folder. The seed determines the files. Objects of the classes 0, 10, 20, ... are drawn
as the digit 0, objects of the classes 1, 11, 21, ... as the digit 1, and so on. With n < 10 classes, digit d shows the
class d % n.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import write_image
from .classes import COCO_CATEGORIES
from .digits import SPLITS, Scene, SceneComposer, draw_labels, write_ade20k, write_coco

NUM_COCO_IMAGES, NUM_ADE20K_IMAGES = {'train': 16, 'val': 6}, {'train': 8, 'val': 4}
# Shapes (height, width), used in turn. The first two lists have common shapes of the datasets, the third small ones.
COCO_SHAPES = ((480, 640), (640, 480), (427, 640), (640, 427), (640, 640), (360, 640))
ADE20K_SHAPES = ((512, 683), (683, 512), (512, 512), (450, 600))
IMAGENET_SHAPES = ((48, 64), (64, 48), (56, 56))


def write_miniature_coco(root: Path, categories: Sequence[dict[str, Any]] = COCO_CATEGORIES, seed: int = 0) -> None:
    """Write ``<root>/{train,val}2017/*.jpg`` and ``<root>/annotations/instances_{train,val}2017.json``."""
    for split, num_images in NUM_COCO_IMAGES.items():
        composer = SceneComposer(split, seed=seed)
        scenes = (composer.compose(COCO_SHAPES[i % len(COCO_SHAPES)], smallest=2) for i in range(num_images))
        choose_category = partial(composer.choose_class, num_classes=len(categories))
        write_coco(root, scenes, split, categories, choose_category, with_polygons=True)


def write_miniature_ade20k(root: Path, num_classes: int = 150, seed: int = 0) -> None:
    """Write ``<root>/images/{training,validation}/*.jpg`` and maps ``<root>/annotations/{training,validation}/*.png``.

    Labels run from 1 to the number of classes; 0 is "not labelled".
    """
    for split, num_images in NUM_ADE20K_IMAGES.items():
        composer = SceneComposer(split, seed=seed)
        scenes = (composer.compose(ADE20K_SHAPES[i % len(ADE20K_SHAPES)]) for i in range(num_images))
        write_ade20k(root, scenes, split, partial(label_horizon, composer=composer, num_classes=num_classes))


def label_horizon(scene: Scene, composer: SceneComposer, num_classes: int) -> NDArray[np.uint8]:
    """Return a segmentation map, (height, width): each half has a random class, over which the digits are drawn."""
    above, below = composer.rng.integers(1, num_classes, size=2, endpoint=True)
    labels = np.full(scene.unclear.shape, above, dtype=np.uint8)
    labels[len(labels) // 2 :] = below
    return draw_labels(scene, labels, [1 + composer.choose_class(digit, num_classes) for digit in scene.labels])


def write_miniature_imagenet(root: Path, folders: Sequence[str], seed: int = 0, per_folder: int = 1) -> None:
    """Write ``<root>/{train,val}/<folder>/*.JPEG``. ``folders`` are the names of the class folders."""
    for split in SPLITS:
        composer = SceneComposer(split, seed=seed)
        scans = {digit: [scan for scan in composer.scans if composer.digits[scan] == digit] for digit in range(10)}
        for index, folder in enumerate([*folders] * per_folder):
            image = composer.compose_single(composer.rng.choice(scans[index % 10]), IMAGENET_SHAPES[index % 3])
            write_image(root / split / folder / f'{folder}_{index + 1}.JPEG', image[..., ::-1])
