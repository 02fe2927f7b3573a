"""Pages: only the 3s and 7s show the orientation of a page, the 6s and 9s do not."""

from collections import Counter

import cv2
import numpy as np

from mmgcvit.datasets.digits import DIGIT_INK, SceneComposer
from mmgcvit.datasets.pages import CELLS, LARGEST, MARGIN, ORIENTED_DIGITS, SMALLEST, compose_page, label_page

CELL = 24
PAGES = 400


def cropped(mask):
    rows, columns = np.nonzero(mask)
    return mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def is_turned(ink, mask):
    """Return whether the mask is the scan rotated by 180 degrees, in any of the possible sizes."""
    inside = CELL - 2 * MARGIN
    for side in range(inside * SMALLEST // 16, inside * LARGEST // 16 + 1):
        shape = cropped(cv2.resize(ink, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1) >= DIGIT_INK)
        for turned, expected in ((False, shape), (True, shape[::-1, ::-1])):
            if np.array_equal(expected, cropped(mask)):
                return turned
    raise AssertionError('no mask of this scan')


def test_only_3_and_7_show_the_orientation_and_each_digit_has_its_own_cell():
    composer, counts = SceneComposer('train', CELLS * CELL), Counter()
    for _ in range(PAGES):
        page = compose_page(composer)
        (upside_down,) = {label % 2 for label in page.labels}
        assert not label_page(page)[~page.masks.any(0)].any()
        assert len({(*(np.argwhere(mask)[0] // CELL),) for mask in page.masks}) == len(page.labels)
        for label, scan, mask in zip(page.labels, page.scans, page.masks, strict=True):
            turned = is_turned(composer.ink[scan], mask)
            assert {*label_page(page)[mask]} == {1 + label}
            low, high = np.argwhere(mask).min(0), np.argwhere(mask).max(0)
            assert ((low // CELL == high // CELL) & (low % CELL >= MARGIN) & (high % CELL < CELL - MARGIN)).all()
            if label < 2:
                assert composer.digits[scan] in ORIENTED_DIGITS
                assert turned == upside_down
            else:
                assert composer.digits[scan] == 6
                counts[turned, upside_down] += 1
    # If all 4 on a page were alike, the standard deviation of a fraction of 1/4 would be sqrt(3 / 16 / PAGES) = 0.022.
    assert len(counts) == 4
    assert all(abs(count / counts.total() - 0.25) < 5 * 0.022 for count in counts.values())
