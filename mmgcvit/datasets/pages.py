"""Compose pages that lie upright or upside down: a 6 or 9 alone does not show which, the other digits do.

Each digit stands in a cell of a grid. A network that sees only one cell gets 6 and 9 right half of the time at best:
both are scans of a 6, rotated or not, equally often on pages of either orientation.
"""

import numpy as np
from numpy.typing import NDArray

from .digits import DIGIT_INK, Scene, SceneComposer, draw_labels

CELLS = 3  # along a side of the page
# Digits that show which way up they are, and those that do not; how many of each are on a page.
TELLING, TOLD = (3, 7), (6, 9)
NUM_TELLING, NUM_TOLD = 3, 4
# Empty pixels around a digit in its cell: a prediction at stride 8 then depends on this cell alone.
MARGIN = 4
# Sides of the scans, in sixteenths of a cell without margins.
SMALLEST, LARGEST = 12, 16


def compose_page(composer: SceneComposer) -> Scene:
    """Draw a page, half of the time upside down, each digit in its own cell; labels: + 1 upside down, + 2 of 6, 9."""
    image, rng = composer.make_background(), composer.rng
    side = composer.size // CELLS
    inside = side - 2 * MARGIN
    nothing = np.zeros((inside, inside), dtype=bool)
    upside_down = bool(rng.integers(2))
    masks, labels, scans = [], [], []
    for number, place in enumerate(rng.permutation(CELLS**2)[: NUM_TELLING + NUM_TOLD]):
        told = number >= NUM_TELLING
        digit = int(rng.choice(TOLD if told else TELLING))
        scan = int(rng.choice([scan for scan in composer.scans if composer.digits[scan] == (6 if told else digit)]))
        top, left = side * np.array(divmod(place, CELLS)) + MARGIN
        cell = np.s_[top : top + inside, left : left + inside]
        turn = -1 if upside_down != (digit == 9) else 1  # drawing into the flipped view flips the scan
        ink = composer.draw_scan(image[cell][::turn, ::turn], scan, nothing, SMALLEST, LARGEST)
        masks.append(np.zeros(image.shape[:2], dtype=bool))
        masks[-1][cell] = ink[::turn, ::turn] >= DIGIT_INK
        labels.append(upside_down + 2 * told)
        scans.append(scan)
    return Scene(image.round().astype(np.uint8), labels, np.stack(masks), scans, np.zeros_like(masks[0]))


def label_page(scene: Scene) -> NDArray[np.uint8]:
    """Draw a page's labels, (height, width): 0 not labelled, which is all but digits, then from 1."""
    return draw_labels(scene, np.zeros(scene.unclear.shape, np.uint8), [1 + label for label in scene.labels])
