"""Scenes as an ADE20K data set: images and segmentation maps in ADEChallengeData2016's own folders."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..pictures import write_labels, write_picture
from .scenes import Scene

FOLDERS = {'train': 'training', 'val': 'validation'}
# As in ADE20K label 0 is "not labelled" and left out of training and scores; classes follow from 1.
UNLABELLED, BACKGROUND, FIRST_DIGIT = 0, 1, 2


def write_ade20k(root: Path, scenes: Iterable[Scene], split: str) -> None:
    """Write ``<root>/images/<folder>/ADE_<split>_*.jpg`` and ``<root>/annotations/<folder>/ADE_<split>_*.png``."""
    images = root / 'images' / FOLDERS[split]
    maps = root / 'annotations' / FOLDERS[split]
    images.mkdir(parents=True)
    maps.mkdir(parents=True)
    for number, scene in enumerate(scenes, start=1):
        name = f'ADE_{split}_{number:08d}'
        write_picture(images / f'{name}.jpg', scene.image)
        write_labels(maps / f'{name}.png', segmentation_map(scene))


def segmentation_map(scene: Scene) -> NDArray[np.uint8]:
    """A scene's labels per pixel, (size, size): 0 not labelled (blurred edges), 1 background, 2 to 11 the digits."""
    labels = np.full(scene.unclear.shape, BACKGROUND, dtype=np.uint8)
    labels[scene.unclear] = UNLABELLED
    for label, mask in zip(scene.labels, scene.masks, strict=True):
        labels[mask] = FIRST_DIGIT + label
    return labels
