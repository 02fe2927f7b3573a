"""A miniature COCO 2017: the official folders, files and keys, and the official set's odd cases, in a few images.

Polygons for single objects and uncompressed run lengths for crowds, images without objects, both orientations, image
ids that are not in a row, small objects.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from ...files import write_image
from ..coco_categories import COCO_CATEGORIES
from ..digits import SPLITS, Scene, SceneComposer

NUM_IMAGES = {'train': 16, 'val': 6}
# Height and width as they are common in COCO, one after the other.
SHAPES = ((480, 640), (640, 480), (427, 640), (640, 427), (640, 640), (360, 640))
# Of every so many images one has no objects, one has a crowd, one only small objects: the place in each round.
ROUND, CROWD, SMALL, EMPTY = 5, 0, 1, 2
INFO = {
    'description': 'Scanned digits laid out as COCO 2017',
    'url': '',
    'version': '1.0',
    'year': 2017,
    'contributor': 'UCI optical recognition of handwritten digits',
    'date_created': '2017/09/01',
}
LICENSES = [{'id': 1, 'name': 'Attribution License', 'url': 'https://creativecommons.org/licenses/by/4.0/'}]


def write_miniature_coco(root: Path, categories: Sequence[dict[str, Any]] = COCO_CATEGORIES, seed: int = 0) -> None:
    """Write ``<root>/{train,val}2017/*.jpg`` and ``<root>/annotations/instances_{train,val}2017.json``.

    Args:
        root: A folder that does not exist yet.
        categories: With the keys ``id``, ``name`` and ``supercategory``, as COCO has them.
        seed: The same seed gives the same files.
    """
    (root / 'annotations').mkdir(parents=True)
    for split in SPLITS:
        content = {'info': INFO, 'licenses': LICENSES, 'images': [], 'annotations': [], 'categories': list(categories)}
        write_images(root / f'{split}2017', SceneComposer(split, seed=seed), NUM_IMAGES[split], content)
        (root / 'annotations' / f'instances_{split}2017.json').write_text(json.dumps(content))


def write_images(folder: Path, composer: SceneComposer, number: int, content: dict[str, Any]) -> None:
    """Write the images of a split, and append what is on them to its annotation file's content."""
    folder.mkdir()
    for i in range(number):
        shape = SHAPES[i % len(SHAPES)]
        sizes = {'smallest': 1, 'largest': 1} if i % ROUND == SMALL else {'smallest': 2, 'largest': 9}
        image = {
            'license': 1,
            'file_name': f'{9 + 7 * i:012d}.jpg',
            'height': shape[0],
            'width': shape[1],
            'date_captured': '2017-09-01 00:00:00',
            'id': 9 + 7 * i,
        }
        content['images'].append(image)
        if i % ROUND == EMPTY:
            picture = composer.dark_noise(shape).round().astype(np.uint8)
        else:
            scene = composer.compose(shape, **sizes)
            picture = scene.image
            for annotation in describe(scene, composer, content['categories'], with_crowd=i % ROUND == CROWD):
                number_so_far = len(content['annotations'])
                content['annotations'].append({**annotation, 'image_id': image['id'], 'id': 1768 + 3 * number_so_far})
        write_image(folder / image['file_name'], picture[..., ::-1])


def describe(
    scene: Scene, composer: SceneComposer, categories: Sequence[dict[str, Any]], with_crowd: bool
) -> Iterator[dict[str, Any]]:
    """A scene's objects as annotations without ids: one each, or the first alone and the others as a crowd."""
    masks, digits = list(scene.masks), scene.labels
    crowd = np.any(masks[1:], axis=0) if with_crowd and len(masks) > 1 else None
    for mask, digit in zip(masks if crowd is None else masks[:1], digits, strict=False):
        polygons = polygons_of(mask)
        if polygons:
            category = categories[composer.class_of(digit, len(categories))]
            yield annotation_of(polygons, mask.shape, category['id'], is_crowd=0)
    if crowd is not None:
        category = categories[composer.class_of(digits[1], len(categories))]
        runs = {'counts': run_lengths(crowd), 'size': list(crowd.shape)}
        yield annotation_of(runs, crowd.shape, category['id'], is_crowd=1)


def annotation_of(
    segmentation: list | dict[str, Any], shape: tuple[int, int], category_id: int, is_crowd: int
) -> dict[str, Any]:
    """An annotation with the area and the box of its segmentation."""
    runs = coco_mask.frPyObjects(segmentation, *shape)
    runs = coco_mask.merge(runs) if isinstance(runs, list) else runs
    return {
        'segmentation': segmentation,
        'area': float(coco_mask.area(runs)),
        'iscrowd': is_crowd,
        'bbox': coco_mask.toBbox(runs).tolist(),
        'category_id': category_id,
    }


def polygons_of(mask: NDArray[np.bool_]) -> list[list[float]]:
    """The outlines of a mask, (height, width), as x1, y1, x2, y2, ...; holes are lost, as they are in COCO."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [outline.ravel().astype(float).tolist() for outline in outlines if cv2.contourArea(outline) >= 1]


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """A mask's run lengths down its columns, beginning with those that are not in it: COCO's uncompressed form."""
    pixels = mask.ravel(order='F')
    changes = np.flatnonzero(np.diff(pixels)) + 1
    lengths = np.diff([0, *changes, pixels.size]).tolist()
    return [0, *lengths] if pixels[0] else lengths
