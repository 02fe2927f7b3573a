"""Photos with known objects: cut-outs of three free photos, pasted on others, with polygons.

``python -m tests.photos FOLDER`` writes sixty in YOLO format. The photos are scikit-image's
(astronaut: NASA, public domain; coffee: R. Michetti, CC0; rocket: SpaceX, public domain; gravel:
CC0; motorcycle: Middlebury stereo data) and scikit-learn's (china: D. Buechele, flower: vultilion,
both CC BY 2.0).
"""

import json
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import skimage
import sklearn
from PIL import Image

from .coco import make_annotation, make_content, make_image

CLASSES = ('cup', 'flower', 'person')
SKIMAGE = Path(skimage.__file__).parent / 'data'
SKLEARN = Path(sklearn.__file__).parent / 'datasets' / 'images'
BACKGROUNDS = [SKIMAGE / name for name in ('motorcycle_left.png', 'rocket.jpg', 'gravel.png')]
BACKGROUNDS.insert(0, SKLEARN / 'china.jpg')
ANGLES = np.linspace(0, 2 * np.pi, 40, endpoint=False)
CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)
PERSON = """
    160 50 185 18 230 13 275 30 300 60 303 95 285 125 297 155 306 185 303 230 340 260 360 300
    362 345 300 380 280 420 285 505 25 505 20 400 28 320 58 265 110 235 112 190 125 160 165 145
    165 120 152 90
"""
# The ellipses of a cup and its saucer.
CUP = np.concatenate([[290, 88] + CIRCLE * (118, 72), [279, 243] + CIRCLE * (202, 142)])
# The photo of each class, and the polygon (x, y) of the object in it, which PERSON has as text.
CUT_OUTS = (
    (SKIMAGE / 'coffee.png', cv2.convexHull(CUP.astype(np.float32))[:, 0]),
    (SKLEARN / 'flower.jpg', [308, 222] + CIRCLE * (132, 130)),
    (SKIMAGE / 'astronaut.png', np.array(PERSON.split(), int).reshape(-1, 2)),
)


class Photo(NamedTuple):
    """An image (H, W, 3) in RGB, and its objects: (label, polygon (N, 2) in pixels), in the order
    they were pasted.
    """

    stem: str
    image: np.ndarray
    objects: list[tuple[int, np.ndarray]]


@cache
def read(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def make_photo(number):
    """Return a photo of one to three objects; the same for the same number."""
    random = np.random.default_rng(number)
    width, height = ((480, 360), (360, 480), (400, 400))[number % 3]
    source = read(BACKGROUNDS[number % len(BACKGROUNDS)])
    zoom = 1.2 * max(height / source.shape[0], width / source.shape[1])
    source = cv2.resize(source, None, fx=zoom, fy=zoom)
    top, left = random.integers(0, np.subtract(source.shape[:2], (height, width)) + 1)
    image = source[top : top + height, left : left + width].copy()
    objects = []
    taken = np.zeros((height, width), np.uint8)
    for label in [number % 3, *random.integers(0, 3, random.integers(0, 3))]:
        path, outline = CUT_OUTS[label]
        extent = np.ptp(outline, axis=0)
        scale = random.uniform(0.25, 0.5) * min(width, height) / extent.max()
        start = random.uniform((0, 0), (width, height) - extent * scale)
        polygon = ((outline - outline.min(0)) * scale + start).round(1)
        mask = cv2.fillPoly(np.zeros_like(taken), [polygon.round().astype(np.int32)], 1)
        if (mask & taken).any():
            continue
        taken |= mask
        x, y = start - outline.min(0) * scale
        matrix = np.array([[scale, 0, x], [0, scale, y]])
        pasted = cv2.warpAffine(read(path), matrix, (width, height), flags=cv2.INTER_AREA)
        alpha = cv2.GaussianBlur(mask.astype(np.float32), (3, 3), 0)[..., None]
        image = (alpha * pasted + (1 - alpha) * image).astype(np.uint8)
        objects.append((int(label), polygon))
    return Photo(f'photo {number:02d}', image, objects)


def write_yolo(root, photos):
    for folder in ('labels', 'images'):
        (root / folder).mkdir(parents=True)
    for photo in photos:
        Image.fromarray(photo.image).save(root / 'images' / f'{photo.stem}.jpg')
        with (root / 'labels' / f'{photo.stem}.txt').open('w') as file:
            for label, polygon in photo.objects:
                print(label, *(polygon / photo.image.shape[1::-1]).ravel(), file=file)
    (root / 'data.yaml').write_text(f'train: images\nnames: [{", ".join(CLASSES)}]\n')


def write_objects(root, photos):
    """Write validation photos in the format of the demo's objects: one class, in COCO's format and
    as maps.
    """
    for folder in ('val', 'maps/val', 'annotations'):
        (root / folder).mkdir(parents=True)
    images = []
    annotations = []
    for number, photo in enumerate(photos):
        height, width = photo.image.shape[:2]
        name = f'{photo.stem}.jpg'
        images.append(make_image(number, name, width, height))
        label_map = np.zeros((height, width), np.uint8)
        for _, outline in photo.objects:
            cv2.fillPoly(label_map, [outline.round().astype(int)], 1)
            w, h = np.ptp(outline, axis=0)
            box = [*outline.min(0), w, h]
            polygon = outline.ravel().tolist()
            annotations.append(
                make_annotation(
                    len(annotations) + 1, number, 1, box, iscrowd=0, segmentation=[polygon]
                )
            )
        Image.fromarray(photo.image).save(root / 'val' / name, quality=100)
        Image.fromarray(label_map).save(root / 'maps' / 'val' / f'{photo.stem}.png')
    content = make_content(images, annotations, {'object': 1})
    (root / 'annotations' / 'instances_val.json').write_text(json.dumps(content))


if __name__ == '__main__':
    write_yolo(Path(sys.argv[1]), [make_photo(number) for number in range(60)])
