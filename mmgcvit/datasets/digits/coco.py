"""Scenes as a COCO data set: detection and instance segmentation in COCO 2017's own folders."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ..pictures import write_picture
from .scenes import Scene

CATEGORIES = [{'id': digit + 1, 'name': str(digit), 'supercategory': 'digit'} for digit in range(10)]


def write_coco(root: Path, scenes: Iterable[Scene], split: str) -> None:
    """Write ``<root>/<split>2017/*.jpg`` and ``<root>/annotations/instances_<split>2017.json``."""
    images = root / f'{split}2017'
    annotations = root / 'annotations'
    images.mkdir(parents=True)
    annotations.mkdir(exist_ok=True)
    content: dict[str, Any] = {'images': [], 'annotations': [], 'categories': CATEGORIES}
    for image_id, scene in enumerate(scenes, start=1):
        file_name = f'{image_id:012d}.jpg'
        write_picture(images / file_name, scene.image)
        height, width = scene.image.shape[:2]
        content['images'].append({'id': image_id, 'file_name': file_name, 'height': height, 'width': width})
        first_id = len(content['annotations']) + 1
        content['annotations'] += describe_objects(scene, image_id, first_id)
    (annotations / f'instances_{split}2017.json').write_text(json.dumps(content))


def describe_objects(scene: Scene, image_id: int, first_id: int) -> list[dict[str, Any]]:
    """A scene's objects as COCO annotations, with exact run-length masks (polygons have no holes; 0, 6, 8, 9 do).

    The key ``scan`` beside COCO's own is the digit's index in scikit-learn's data set.
    """
    annotations = []
    for offset, (label, mask, scan) in enumerate(zip(scene.labels, scene.masks, scene.scans, strict=True)):
        runs = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
        annotations.append(
            {
                'id': first_id + offset,
                'image_id': image_id,
                'category_id': CATEGORIES[label]['id'],
                'bbox': coco_mask.toBbox(runs).tolist(),
                'area': int(coco_mask.area(runs)),
                'iscrowd': 0,
                'segmentation': {'size': runs['size'], 'counts': runs['counts'].decode()},
                'scan': scan,
            }
        )
    return annotations
