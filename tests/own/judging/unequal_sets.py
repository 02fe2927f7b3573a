"""Draw pictures whose classes are unequal: rare ones beside frequent ones.

=======  ========================================================================================
music    two staves with black and white note heads, clefs, and few sharps and flats
cells    round cells on an uneven ground, fewer long ones, and few ring-shaped and dark ones
digits   scikit-learn's scanned digits from 0 to 4 in any colour, of which 3 and 4 are rare
=======  ========================================================================================

Pictures have a side of 192 px, at which ``--size mini`` trains, so that they are not shrunk.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mmgcvit.host.files import write_image
from tools.make_digits import DIGIT_INK, SceneComposer

from ...coco import make_annotation, make_content, make_image
from .scorer import Objects

SIDE = 192  # of a picture, in pixels
MARGIN = 24  # of the centre of an object from the edges
PLACEMENT_TRIES = 50
STAVES = (24, 120)  # the highest line of each
LINE_DISTANCE = 12
UNSEEN = 'test'  # the split that no training has

Grey = NDArray[np.float32]  # (SIDE, SIDE)
Mask = NDArray[np.uint8]  # (SIDE, SIDE), 1 at an object
Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture (height, width, 3) uint8 in BGR order, and its objects."""

    image: NDArray[np.uint8]
    objects: Objects


class UnequalSet(ABC):
    """Pictures with objects of some classes."""

    # The mean number of objects of each class in a picture
    numbers: Mapping[str, float]

    def draw_pictures(self, split: str, number: int, seed: int) -> list[Picture]:
        """Draw pictures of a split: train, val or test."""
        rng = np.random.default_rng([seed, len(split), number])
        pictures = []
        for _ in range(number):
            counts = rng.poisson([*self.numbers.values()])
            labels = np.repeat(np.arange(len(counts)), counts)
            rare_first = labels[::-1].tolist()
            pictures.append(self.draw(rng, rare_first, split))
        return pictures

    @abstractmethod
    def draw(self, rng: Generator, labels: Sequence[int], split: str) -> Picture:
        """Draw a picture for the labels of its objects, of which some may find no place."""


# Draws an object into a mask around a point x, y
DrawShape = Callable[[Generator, Mask, int, int], None]


@dataclass(frozen=True)
class Shape:
    """The drawn objects of a class."""

    draw: DrawShape
    contrast: tuple[float, float]  # how much darker than the ground they are, from 0 to 255


@dataclass(frozen=True)
class DrawnSet(UnequalSet):
    """Pictures of drawn objects."""

    numbers: Mapping[str, float]
    draw_ground: Callable[[Generator], Grey]
    shapes: Sequence[Shape]  # of each class

    def draw(self, rng: Generator, labels: Sequence[int], split: str) -> Picture:
        picture = self.draw_ground(rng)
        occupied = np.zeros((SIDE, SIDE), bool)
        placed = []
        boxes = []
        for label in labels:
            shape = self.shapes[label]
            mask = place(rng, occupied, shape.draw)
            if mask is not None:
                inside = mask > 0
                picture[inside] = picture[inside].mean() - rng.uniform(*shape.contrast)
                placed.append(label)
                boxes.append(find_box(mask))
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1.2))
        picture += rng.normal(0, rng.uniform(4, 14), picture.shape)
        grey = picture.clip(0, 255).astype(np.uint8)
        return Picture(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), make_objects(placed, boxes))


def place(rng: Generator, occupied: NDArray[np.bool_], draw_shape: DrawShape) -> Mask | None:
    """Draw an object where its box is free, and occupy it. Return its mask, or None if no free place
    is found.
    """
    for _ in range(PLACEMENT_TRIES):
        x, y = rng.integers(MARGIN, SIDE - MARGIN, 2).tolist()
        mask = np.zeros((SIDE, SIDE), np.uint8)
        draw_shape(rng, mask, x, y)
        left, top, right, bottom = find_box(mask)
        window = np.s_[top:bottom, left:right]
        if not occupied[window].any():
            occupied[window] = True
            return mask
    return None


def find_box(mask: Mask) -> Box:
    left, top, width, height = cv2.boundingRect(mask)
    return left, top, left + width, top + height


def make_objects(labels: Sequence[int], boxes: Sequence[Box]) -> Objects:
    return Objects(np.array(labels, np.int64), np.array(boxes, np.float64).reshape(-1, 4))


def draw_staves(rng: Generator) -> Grey:
    ground = np.full((SIDE, SIDE), rng.uniform(215, 250), np.float32)
    for top in STAVES:
        ground[top : top + 5 * LINE_DISTANCE : LINE_DISTANCE] = 60
    return ground


def draw_black_head(rng: Generator, mask: Mask, x: int, y: int) -> None:
    cv2.ellipse(mask, (x, y), (8, 6), rng.uniform(-25, -5), 0, 360, 1, -1)


def draw_white_head(rng: Generator, mask: Mask, x: int, y: int) -> None:
    cv2.ellipse(mask, (x, y), (7, 5), rng.uniform(-25, -5), 0, 360, 1, 2)


def draw_clef(rng: Generator, mask: Mask, x: int, y: int) -> None:
    cv2.line(mask, (x, y - 22), (x, y + 22), 1, 2)
    cv2.ellipse(mask, (x, y + 7), (9, 10), 0, 0, 360, 1, 2)
    cv2.ellipse(mask, (x + 2, y - 12), (5, 9), rng.uniform(0, 20), 0, 360, 1, 2)


def draw_sharp(rng: Generator, mask: Mask, x: int, y: int) -> None:
    slope = int(rng.integers(1, 4))
    for offset in (-3, 3):
        cv2.line(mask, (x + offset, y - 13), (x + offset, y + 13), 1, 1)
        bar = y + 2 * offset
        cv2.line(mask, (x - 7, bar + slope), (x + 7, bar - slope), 1, 2)


def draw_flat(rng: Generator, mask: Mask, x: int, y: int) -> None:
    cv2.line(mask, (x - 4, y - 14), (x - 4, y + 11), 1, 1)
    cv2.ellipse(mask, (x, y + 6), (4, 5), rng.uniform(-40, -20), 0, 360, 1, 2)


def draw_uneven_ground(rng: Generator) -> Grey:
    coarse = rng.uniform(120, 180, (4, 4)).astype(np.float32)
    return cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def draw_cell(rng: Generator, mask: Mask, x: int, y: int, axes: Sequence[int], line: int) -> None:
    """Draw an ellipse of about these half axes, filled if ``line`` is -1."""
    scaled = (np.array(axes) * rng.uniform(0.85, 1.15, 2)).round().astype(int).tolist()
    cv2.ellipse(mask, (x, y), scaled, rng.uniform(0, 180), 0, 360, 1, line)


def draw_round_cell(rng: Generator, mask: Mask, x: int, y: int) -> None:
    draw_cell(rng, mask, x, y, axes=(9, 9), line=-1)


def draw_long_cell(rng: Generator, mask: Mask, x: int, y: int) -> None:
    draw_cell(rng, mask, x, y, axes=(14, 6), line=-1)


def draw_ring(rng: Generator, mask: Mask, x: int, y: int) -> None:
    draw_cell(rng, mask, x, y, axes=(8, 8), line=4)


@cache
def load_scans(split: str) -> SceneComposer:
    """Load the scans of a split, train or val, of which none is in the other one."""
    return SceneComposer(split, SIDE)


@dataclass(frozen=True)
class DigitSet(UnequalSet):
    """Pictures of scanned digits. Unseen pictures show unseen scans."""

    numbers: Mapping[str, float]

    def draw(self, rng: Generator, labels: Sequence[int], split: str) -> Picture:
        composer = copy(load_scans('val' if split == UNSEEN else 'train'))
        composer.rng = rng
        digits = np.array(composer.digits)[composer.scans]
        image = composer.make_background()
        occupied = np.zeros((SIDE, SIDE), bool)
        placed = []
        boxes = []
        for label in labels:
            scan = int(rng.choice(composer.scans[digits == label]))
            ink = composer.draw_scan(image, scan, occupied, smallest=2, largest=4)
            if ink is not None:
                occupied |= ink > 0
                placed.append(label)
                boxes.append(find_box((ink >= DIGIT_INK).astype(np.uint8)))
        bgr = np.ascontiguousarray(image.round().astype(np.uint8)[..., ::-1])
        return Picture(bgr, make_objects(placed, boxes))


INK = (160, 200)
PALE = (25, 50)
DARK = (45, 80)
SETS: dict[str, UnequalSet] = {
    'music': DrawnSet(
        numbers={'black': 9, 'white': 4, 'clef': 1, 'sharp': 0.8, 'flat': 0.8},
        draw_ground=draw_staves,
        shapes=[
            Shape(draw_black_head, INK),
            Shape(draw_white_head, INK),
            Shape(draw_clef, INK),
            Shape(draw_sharp, INK),
            Shape(draw_flat, INK),
        ],
    ),
    'cells': DrawnSet(
        numbers={'round': 8, 'long': 3, 'ring': 1, 'dark': 1},
        draw_ground=draw_uneven_ground,
        shapes=[
            Shape(draw_round_cell, PALE),
            Shape(draw_long_cell, PALE),
            Shape(draw_ring, PALE),
            Shape(draw_round_cell, DARK),
        ],
    ),
    'digits': DigitSet(numbers={'0': 5, '1': 3, '2': 1.5, '3': 0.8, '4': 0.8}),
}


def write_split(
    folder: Path, split: str, pictures: Sequence[Picture], classes: Sequence[str]
) -> None:
    """Write the pictures of a split, and their objects in COCO's format."""
    images = []
    annotations = []
    for number, picture in enumerate(pictures):
        name = f'{split}_{number:03d}.png'
        write_image(folder / split / name, picture.image)
        images.append(make_image(number, name, SIDE, SIDE))
        for label, box in zip(picture.objects.labels, picture.objects.boxes, strict=True):
            left, top, right, bottom = box.tolist()
            annotation = make_annotation(
                annotation_id=len(annotations) + 1,
                image_id=number,
                category_id=int(label) + 1,
                box=[left, top, right - left, bottom - top],
                iscrowd=0,
            )
            annotations.append(annotation)
    categories = {name: number for number, name in enumerate(classes, start=1)}
    path = folder / 'annotations' / f'instances_{split}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(make_content(images, annotations, categories)))
