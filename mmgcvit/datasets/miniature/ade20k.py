"""A miniature ADE20K: the official folders and file names, 150 classes, 0 for what is not labelled."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...files import write_image
from ..digits import FOLDERS, SPLITS, UNLABELLED, Scene, SceneComposer

NUM_IMAGES = {'train': 8, 'val': 4}
# Height and width as they are common in ADE20K, one after the other.
SHAPES = ((512, 683), (683, 512), (512, 512), (450, 600))
NUM_CLASSES = 150


def write_miniature_ade20k(root: Path, num_classes: int = NUM_CLASSES, seed: int = 0) -> None:
    """Write ``<root>/images/{training,validation}/*.jpg`` and label maps ``<root>/annotations/.../*.png``.

    Args:
        root: A folder that does not exist yet.
        num_classes: Labels run from 1 to this number; 0 is "not labelled".
        seed: The same seed gives the same files.
    """
    for split in SPLITS:
        composer = SceneComposer(split, seed=seed)
        images, maps = (root / kind / FOLDERS[split] for kind in ('images', 'annotations'))
        images.mkdir(parents=True)
        maps.mkdir(parents=True)
        for i in range(NUM_IMAGES[split]):
            scene = composer.compose(SHAPES[i % len(SHAPES)])
            name = f'ADE_{split}_{i + 1:08d}'
            write_image(images / f'{name}.jpg', scene.image[..., ::-1])
            write_image(maps / f'{name}.png', label_map(scene, composer, num_classes))


def label_map(scene: Scene, composer: SceneComposer, num_classes: int) -> NDArray[np.uint8]:
    """A scene's labels per pixel, (height, width): two classes above and below a horizon, a class for each digit."""
    height = scene.unclear.shape[0]
    above, below = composer.rng.integers(1, num_classes, size=2, endpoint=True)
    labels = np.full(scene.unclear.shape, above, dtype=np.uint8)
    labels[height // 2 :] = below
    labels[scene.unclear] = UNLABELLED
    for digit, mask in zip(scene.labels, scene.masks, strict=True):
        labels[mask] = 1 + composer.class_of(digit, num_classes)
    return labels
