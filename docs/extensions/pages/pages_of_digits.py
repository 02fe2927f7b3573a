"""Pages of digits on which a network needs a global view to tell 6s from upside-down 9s, and a
metric for them.

    python docs/extensions/pages/pages_of_digits.py data/pages

A page is a grid with at most one digit in each cell. All its digits are upright, or all are upside
down. A 3 or 7 shows which of the two. A 6 or 9 does not, because 9s are rotated scans of a 6.
Therefore a network that sees only the cell of a 6 or 9 is right in half of the cases at best.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from make_digits import (
    DIGIT_INK,
    Scene,
    SceneComposer,
    draw_labels,
    write_ade20k,
    write_folder_atomically,
)
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from numpy.typing import NDArray
from torch import Tensor

PAGE_SIZE = 72  # side of a page in pixels
NUM_PAGES = {'train': 1600, 'val': 160}
CELLS = 3  # number of cells along each side of the page
# Digits that show the orientation of the page, and digits that do not.
ORIENTED_DIGITS, AMBIGUOUS_DIGITS = (3, 7), (6, 9)
# How many of each group are on a page.
NUM_ORIENTED, NUM_AMBIGUOUS = 3, 4
# Empty pixels around a digit in its cell, so that a prediction at stride 8 depends on this cell
# alone.
MARGIN = 4
# Smallest and largest side of a digit, in sixteenths of the side of a cell without its margins.
SMALLEST, LARGEST = 12, 16


def compose_page(composer: SceneComposer) -> Scene:
    """Compose a random page: upright (labels 0 for 3 and 7, 2 for 6 and 9) or upside down (labels 1
    and 3).
    """
    image, rng = composer.make_background(), composer.rng
    side = composer.size // CELLS
    inner_side = side - 2 * MARGIN
    occupied = np.zeros((inner_side, inner_side), dtype=bool)  # cells begin empty
    upside_down = bool(rng.integers(2))
    masks, labels, scans = [], [], []
    for index, position in enumerate(rng.permutation(CELLS**2)[: NUM_ORIENTED + NUM_AMBIGUOUS]):
        is_ambiguous = index >= NUM_ORIENTED
        digit = int(rng.choice(AMBIGUOUS_DIGITS if is_ambiguous else ORIENTED_DIGITS))
        scanned = 6 if is_ambiguous else digit
        scan = int(
            rng.choice([scan for scan in composer.scans if composer.digits[scan] == scanned])
        )
        top, left = side * np.array(divmod(position, CELLS)) + MARGIN
        cell = np.s_[top : top + inner_side, left : left + inner_side]
        step = (
            -1 if upside_down != (digit == 9) else 1
        )  # drawing into a view with step -1 rotates by 180 degrees
        ink = composer.draw_scan(image[cell][::step, ::step], scan, occupied, SMALLEST, LARGEST)
        masks.append(np.zeros(image.shape[:2], dtype=bool))
        masks[-1][cell] = ink[::step, ::step] >= DIGIT_INK
        labels.append(upside_down + 2 * is_ambiguous)
        scans.append(scan)
    return Scene(
        image.round().astype(np.uint8), labels, np.stack(masks), scans, np.zeros_like(masks[0])
    )


def label_page(scene: Scene) -> NDArray[np.uint8]:
    """Return a page's segmentation map, (height, width): label + 1 at digits, 0 (not labelled) at
    all other pixels.
    """
    return draw_labels(
        scene, np.zeros(scene.unclear.shape, np.uint8), [1 + label for label in scene.labels]
    )


NUM_LABELS = 256  # values of an 8-bit segmentation map


@METRICS.register_module()
class GroupAccuracy(BaseMetric):
    """The accuracy (recall of pixels, in percent) of each class, averaged over the classes of each
    group.

    Args:
        groups: The class names of each group. A group is logged as ``accuracy/<group>``.
    """

    default_prefix = 'accuracy'

    def __init__(self, groups: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.groups = groups

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Count, for each image and label, the correctly predicted pixels and all ground truth
        pixels.
        """
        for sample in data_samples:
            gt, pred = (
                sample[name]['data'].flatten().cpu() for name in ('gt_sem_seg', 'pred_sem_seg')
            )
            self.results.append(
                [torch.bincount(labels, minlength=NUM_LABELS) for labels in (gt[gt == pred], gt)]
            )

    def compute_metrics(self, results: Sequence[Sequence[Tensor]]) -> dict[str, float]:
        """Compute the accuracy of each group from the counts of all images."""
        correct, total = (sum(counts) for counts in zip(*results, strict=True))
        accuracy = dict(
            zip(self.dataset_meta['classes'], (100 * correct / total).tolist(), strict=False)
        )
        return {
            name: sum(map(accuracy.get, classes)) / len(classes)
            for name, classes in self.groups.items()
        }


def write_pages(folder: Path) -> None:
    """Write the pages of both splits in ADE20K's format."""
    with write_folder_atomically(folder) as unfinished:
        for split, num_pages in NUM_PAGES.items():
            composer = SceneComposer(split, PAGE_SIZE, seed=0)
            write_ade20k(
                unfinished, (compose_page(composer) for _ in range(num_pages)), split, label_page
            )


if __name__ == '__main__':
    write_pages(Path(sys.argv[1]))
