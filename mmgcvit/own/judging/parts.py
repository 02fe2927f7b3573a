"""Choose the part of an image that a contact sheet draws, so that its objects can be seen."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...predict.drawing import MAX_LABELLED
from ...predict.results import Detections
from ...predict.tile_sizes import MIN_TILE

# If half of the objects would be drawn smaller than the first side in pixels, a part is drawn in
# which they have the second one.
MIN_DRAWN_OBJECT = 16
DRAWN_OBJECT = 48


@dataclass(frozen=True)
class Part:
    """A square part of an image, in pixels. The image may be narrower."""

    left: int
    top: int
    side: int

    def describe(self, image: NDArray[np.uint8]) -> str:
        """Return what is drawn of an image (height, width, 3)."""
        height, width = image.shape[:2]
        return f'{self.side} px at ({self.left}, {self.top}) of {width} x {height}'

    def cut(
        self, image: NDArray[np.uint8], objects: Detections
    ) -> tuple[NDArray[np.uint8], Detections]:
        """Return the part of an image, and the objects that it shows."""
        rows = slice(self.top, self.top + self.side)
        columns = slice(self.left, self.left + self.side)
        cut = image[rows, columns]
        height, width = cut.shape[:2]
        corner = np.array([self.left, self.top] * 2, np.float32)
        boxes = (objects.boxes - corner).clip(0, [width, height] * 2).astype(np.float32)
        is_shown = np.asarray((boxes[:, 2:] > boxes[:, :2]).all(1), bool)
        masks = None
        if objects.masks is not None:
            indices = np.flatnonzero(is_shown)
            masks = np.zeros((len(indices), height, width), bool)
            for place, index in enumerate(indices.tolist()):
                masks[place] = objects.masks[index][rows, columns]
        shown = replace(objects, masks=None, ignored=None).select(is_shown)
        return cut, replace(shown, boxes=boxes[is_shown], masks=masks)


def choose_part(
    image: NDArray[np.uint8], boxes: NDArray[np.float32], drawn_side: int
) -> Part | None:
    """Return the part to draw, around the object that is nearest to the middle of all objects.

    None stands for the whole image: its objects are few enough to be labelled, and not small.

    Args:
        image: The image (height, width, 3).
        boxes: The boxes (n, 4) of its objects.
        drawn_side: The longer side in pixels with which the image or its part is drawn.
    """
    if not len(boxes):
        return None
    height, width = image.shape[:2]
    longer_side = max(height, width)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    object_side = max(1.0, math.sqrt(np.median(areas)))
    is_small = object_side * drawn_side / longer_side < MIN_DRAWN_OBJECT
    is_crowded = len(boxes) > MAX_LABELLED
    side = float(longer_side)
    if is_small:
        side = object_side * drawn_side / DRAWN_OBJECT
    if is_crowded:  # so many of evenly spread objects can be labelled
        side = min(side, math.sqrt(height * width * MAX_LABELLED / len(boxes)))
    side = max(MIN_TILE, math.ceil(side))
    if side >= longer_side:
        return None
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    distances = np.linalg.norm(centres - np.median(centres, axis=0), axis=1)
    centre = centres[distances.argmin()]
    highest = np.subtract([width, height], side).clip(0)
    left, top = (centre - side / 2).clip(0, highest).astype(int).tolist()
    return Part(left, top, side)
