"""Compose pages of digits whose orientation, upright or upside down, a 6 or 9 alone does not show.

A page is a grid with at most one digit in each cell. The 3s and 7s show its orientation. A 6 and a 9 are both scans of
a 6, rotated or not, equally often in either orientation. A network whose receptive field is one cell can therefore be
right for half of them at best.
"""

import numpy as np
from numpy.typing import NDArray

from .digits import DIGIT_INK, Scene, SceneComposer, draw_labels

CELLS = 3  # per side of the page
# Digits that show their orientation, digits that do not, and the number of each on a page.
ORIENTED_DIGITS, AMBIGUOUS_DIGITS = (3, 7), (6, 9)
NUM_ORIENTED, NUM_AMBIGUOUS = 3, 4
# Empty pixels around a digit in its cell, so that a prediction at stride 8 depends on this cell alone.
MARGIN = 4
# Side lengths of the digits in 1/16 of a cell without its margins.
SMALLEST, LARGEST = 12, 16


def compose_page(composer: SceneComposer) -> Scene:
    """Compose a page, upside down with probability 1/2. Labels: 0 upright, 1 upside down; plus 2 for 6 and 9."""
    image, rng = composer.make_background(), composer.rng
    side = composer.size // CELLS
    inside = side - 2 * MARGIN
    unoccupied = np.zeros((inside, inside), dtype=bool)
    upside_down = bool(rng.integers(2))
    masks, labels, scans = [], [], []
    for index, position in enumerate(rng.permutation(CELLS**2)[: NUM_ORIENTED + NUM_AMBIGUOUS]):
        is_ambiguous = index >= NUM_ORIENTED
        digit = int(rng.choice(AMBIGUOUS_DIGITS if is_ambiguous else ORIENTED_DIGITS))
        scanned = 6 if is_ambiguous else digit
        scan = int(rng.choice([scan for scan in composer.scans if composer.digits[scan] == scanned]))
        top, left = side * np.array(divmod(position, CELLS)) + MARGIN
        cell = np.s_[top : top + inside, left : left + inside]
        step = -1 if upside_down != (digit == 9) else 1  # a digit drawn into a reversed view is rotated by 180 degrees
        ink = composer.draw_scan(image[cell][::step, ::step], scan, unoccupied, SMALLEST, LARGEST)
        masks.append(np.zeros(image.shape[:2], dtype=bool))
        masks[-1][cell] = ink[::step, ::step] >= DIGIT_INK
        labels.append(upside_down + 2 * is_ambiguous)
        scans.append(scan)
    return Scene(image.round().astype(np.uint8), labels, np.stack(masks), scans, np.zeros_like(masks[0]))


def label_page(scene: Scene) -> NDArray[np.uint8]:
    """Return a page's segmentation map, (height, width): 0 (not labelled) outside of digits, else label + 1."""
    return draw_labels(scene, np.zeros(scene.unclear.shape, np.uint8), [1 + label for label in scene.labels])
