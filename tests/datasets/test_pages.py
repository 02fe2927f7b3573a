"""Pages: which way up a 6 or 9 is, only the others tell."""

from collections import Counter

import cv2
import numpy as np

from mmgcvit.datasets.digits import DIGIT_INK, SceneComposer
from mmgcvit.datasets.pages import CELLS, LARGEST, MARGIN, SMALLEST, TELLING, compose_page, label_page

CELL = 24
PAGES = 400


def cropped(mask):
    rows, columns = np.nonzero(mask)
    return mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def is_turned(ink, mask):
    """Whether the mask is of this scan turned: it is of one of the sizes, either way."""
    inside = CELL - 2 * MARGIN
    for side in range(inside * SMALLEST // 16, inside * LARGEST // 16 + 1):
        shape = cropped(cv2.resize(ink, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1) >= DIGIT_INK)
        for turned, expected in ((False, shape), (True, shape[::-1, ::-1])):
            if np.array_equal(expected, cropped(mask)):
                return turned
    raise AssertionError('no mask of this scan')


def test_a_6_or_9_alone_does_not_tell_which_way_up_it_is_the_others_do_and_each_has_its_cell():
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
                assert composer.digits[scan] in TELLING
                assert turned == upside_down
            else:
                assert composer.digits[scan] == 6
                counts[turned, upside_down] += 1
    # 4 on a page: were they all alike, a share of a quarter would deviate by sqrt(3 / 16 / PAGES) = 0.022.
    assert len(counts) == 4
    assert all(abs(count / counts.total() - 0.25) < 5 * 0.022 for count in counts.values())
