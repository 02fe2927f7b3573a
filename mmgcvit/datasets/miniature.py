"""Miniatures of COCO, ADE20K and ImageNet-1K: their layout, files and classes, with a few images of scanned digits.

Writers make a folder that does not exist yet, the same files for the same seed. Digits stand for classes whose numbers
end in them.
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from ..files import write_image
from .classes import COCO_CATEGORIES
from .digits import SPLITS, UNLABELLED, Scene, SceneComposer, write_ade20k

NUM_COCO_IMAGES, NUM_ADE20K_IMAGES = {'train': 16, 'val': 6}, {'train': 8, 'val': 4}
# Height and width as they are common in the data set, one after the other.
COCO_SHAPES = ((480, 640), (640, 480), (427, 640), (640, 427), (640, 640), (360, 640))
ADE20K_SHAPES = ((512, 683), (683, 512), (512, 512), (450, 600))
IMAGENET_SHAPES = ((48, 64), (64, 48), (56, 56))
IMAGENET_NAMES = {'train': '{folder}_{number}.JPEG', 'val': 'ILSVRC2012_val_{number:08d}.JPEG'}
# Of COCO's every so many images one has no objects, one has a crowd, one only small objects: the place in each round.
ROUND, CROWD, SMALL, EMPTY = 5, 0, 1, 2
INFO = {'description': 'Scanned digits laid out as COCO 2017', 'version': '1.0', 'year': 2017}
LICENSES = [{'id': 1, 'name': 'Attribution License', 'url': 'https://creativecommons.org/licenses/by/4.0/'}]


def write_miniature_coco(root: Path, categories: Sequence[dict[str, Any]] = COCO_CATEGORIES, seed: int = 0) -> None:
    """Write ``<root>/{train,val}2017/*.jpg`` and ``<root>/annotations/instances_{train,val}2017.json``.

    With the official set's keys, among them those of persons, with 17 keypoints, and odd cases: polygons for single
    objects and uncompressed run lengths for crowds, images without objects, both orientations, image ids that are not
    in a row, small objects.
    """
    (root / 'annotations').mkdir(parents=True)
    for split, number in NUM_COCO_IMAGES.items():
        composer, images, annotations = SceneComposer(split, seed=seed), [], []
        for i in range(number):
            shape, image_id = COCO_SHAPES[i % len(COCO_SHAPES)], 9 + 7 * i
            image = {
                'license': 1,
                'file_name': f'{image_id:012d}.jpg',
                'height': shape[0],
                'width': shape[1],
                'date_captured': '2017-09-01 00:00:00',
                'id': image_id,
            }
            images.append(image)
            if i % ROUND == EMPTY:
                picture = composer.dark_noise(shape).round().astype(np.uint8)
            else:
                scene = composer.compose(shape, *((1, 1) if i % ROUND == SMALL else (2, 9)))
                picture = scene.image
                for entry in described(scene, composer, categories, with_crowd=i % ROUND == CROWD):
                    annotations.append({**entry, 'image_id': image_id, 'id': 1768 + 3 * len(annotations)})
            write_image(root / f'{split}2017' / image['file_name'], picture[..., ::-1])
        content = {'info': INFO, 'licenses': LICENSES, 'images': images, 'annotations': annotations}
        content = json.dumps({**content, 'categories': list(categories)})
        (root / 'annotations' / f'instances_{split}2017.json').write_text(content)


def described(
    scene: Scene, composer: SceneComposer, categories: Sequence[dict[str, Any]], with_crowd: bool
) -> Iterator[dict[str, Any]]:
    """A scene's objects as annotations without ids: one each, or the first alone and the others as a crowd."""
    alone = 1 if with_crowd else len(scene.masks)
    for mask, digit in zip(scene.masks[:alone], scene.labels, strict=False):
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        # x1, y1, x2, y2, ...; holes are lost, as they are in COCO.
        polygons = [outline.ravel().astype(float).tolist() for outline in outlines if cv2.contourArea(outline) >= 1]
        if polygons:
            yield annotation(polygons, mask.shape, categories[composer.class_of(digit, len(categories))], 0)
    if len(scene.masks) > alone:
        crowd = scene.masks[alone:].any(0)
        runs = {'counts': run_lengths(crowd), 'size': list(crowd.shape)}
        category = categories[composer.class_of(scene.labels[alone], len(categories))]
        yield annotation(runs, crowd.shape, category, 1)


def annotation(
    segmentation: list | dict[str, Any], shape: tuple[int, int], category: dict[str, Any], is_crowd: int
) -> dict[str, Any]:
    """An annotation with the area and the box of its segmentation, and keypoints down the box' diagonal."""
    runs = coco_mask.frPyObjects(segmentation, *shape)
    runs = coco_mask.merge(runs) if isinstance(runs, list) else runs
    x, y, width, height = box = coco_mask.toBbox(runs).tolist()
    return {
        'segmentation': segmentation,
        'area': float(coco_mask.area(runs)),
        'iscrowd': is_crowd,
        'bbox': box,
        'category_id': category['id'],
        'keypoints': [number for i in range(17) for number in (x + i / 17 * width, y + i / 17 * height, 2)],
        'num_keypoints': 17,
    }


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """A mask's run lengths down its columns, beginning with those that are not in it: COCO's uncompressed form."""
    pixels = mask.ravel(order='F')
    changes = np.flatnonzero(np.diff(pixels)) + 1
    lengths = np.diff([0, *changes, pixels.size]).tolist()
    return [0, *lengths] if pixels[0] else lengths


def write_miniature_ade20k(root: Path, num_classes: int = 150, seed: int = 0) -> None:
    """Write ``<root>/images/{training,validation}/*.jpg`` and label maps ``<root>/annotations/.../*.png``.

    Labels run from 1 to the number of classes; 0 is "not labelled".
    """
    for split, number in NUM_ADE20K_IMAGES.items():
        composer = SceneComposer(split, seed=seed)
        scenes = (composer.compose(ADE20K_SHAPES[i % len(ADE20K_SHAPES)]) for i in range(number))
        write_ade20k(root, scenes, split, partial(with_horizon, composer=composer, num_classes=num_classes))


def with_horizon(scene: Scene, composer: SceneComposer, num_classes: int) -> NDArray[np.uint8]:
    """A scene's labels per pixel, (height, width): two classes above and below a horizon, a class for each digit."""
    above, below = composer.rng.integers(1, num_classes, size=2, endpoint=True)
    labels = np.full(scene.unclear.shape, above, dtype=np.uint8)
    labels[len(labels) // 2 :] = below
    labels[scene.unclear] = UNLABELLED
    for digit, mask in zip(scene.labels, scene.masks, strict=True):
        labels[mask] = 1 + composer.class_of(digit, num_classes)
    return labels


def write_miniature_imagenet(root: Path, folders: Sequence[str], seed: int = 0, per_folder: int = 1) -> None:
    """Write ``<root>/{train,val}/<folder>/*.JPEG``, a folder for each class, as :func:`.classes.imagenet_folders`."""
    for split in SPLITS:
        composer = SceneComposer(split, seed=seed)
        scans = {digit: [scan for scan in composer.scans if composer.digits[scan] == digit] for digit in range(10)}
        for number, folder in enumerate([*folders] * per_folder):
            image = composer.compose_one(composer.rng.choice(scans[number % 10]), IMAGENET_SHAPES[number % 3])
            name = IMAGENET_NAMES[split].format(folder=folder, number=number + 1)
            write_image(root / split / folder / name, image[..., ::-1])
