"""Make large pages of small digits, and measure how many the demo's detector finds.

It prints the values in docs/predict.md: python -m tests.predict.large_images 1000 4000
"""

import sys

import cv2
import numpy as np
import supervision as sv
from scipy.ndimage import find_objects

from mmgcvit import load
from tools.make_digits import DIGIT_INK, SceneComposer

from ..tools.commands import DEMO

# Sides of digits in pixels. A tile of 256 px is resized to 128 px, where they are as large as the
# demo's small digits.
SMALLEST, LARGEST = 48, 96
TILE, PAGE_OF_A_DIGIT = 256, 130**2


def page_of(height, width):
    """Draw digits that the demo was not trained on, on one background.

    Return the image (height, width, 3), the digits (n,), and for each pixel the number of its digit
    from 1, or 0.
    """
    composer = SceneComposer('val')
    rng, image = composer.rng, composer.make_background((height, width))
    digits, numbers = [], np.zeros((height, width), np.int32)
    while len(digits) < height * width // PAGE_OF_A_DIGIT:
        scan, side = rng.choice(composer.scans), rng.integers(SMALLEST, LARGEST, endpoint=True)
        top, left = rng.integers(0, [height - side, width - side])
        place = np.s_[top : top + side, left : left + side]
        if not numbers[place].any():
            ink = cv2.resize(
                composer.ink[scan], (int(side),) * 2, interpolation=cv2.INTER_CUBIC
            ).clip(0, 1)[..., None]
            image[place] += ink * (rng.uniform(150, 255, size=3) - image[place])
            digits.append(composer.digits[scan])
            numbers[place][ink[..., 0] >= DIGIT_INK] = len(digits)
    return image.round().astype(np.uint8), np.array(digits), numbers


def matches(found, digits, numbers):
    """Match digits with objects of a prediction by class and an IoU of boxes of at least 0.5: (n,
    objects) bool.
    """
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in find_objects(numbers)]
    overlap = sv.box_iou_batch(np.array(boxes), found.boxes)
    return (overlap >= 0.5) & (digits[:, None] == found.labels)


if __name__ == '__main__':
    model = load(DEMO / 'mask_rcnn_gcvit_digits.py', device='cpu')
    for side in map(int, sys.argv[1:]):
        image, digits, numbers = page_of(side, side)
        for tiles in (None, TILE):
            which = matches(model(image, 8, tiles), digits, numbers)
            found, num_wrong = which.any(1).mean(), (~which.any(0)).sum()
            print(f'{side} px, tiles {tiles}: found {found:.3f}, wrong {num_wrong}')  # noqa: T201
