"""Objects of large images are detected in tiles, each once, with masks stored as crops to save
memory.
"""

import numpy as np
import pytest
import supervision as sv

from mmgcvit import load
from mmgcvit.inference.detector import MARGIN, drop_cut_objects

from ..tools.commands import DEMO
from .large_images import TILE, matches, page_of


def test_a_cut_off_object_is_dropped_if_another_tile_shows_it_completely():
    """Classes do not matter.

    Objects at the image's border, and those that no complete object covers, are kept.
    """
    boxes = [(10, 40, 64, 90), (8, 40, 100, 90), (48, 10, 64, 30), (0, 60, 30, 80)]
    near_edge = np.zeros((4, 4), bool)
    near_edge[[0, 2], 2] = near_edge[3, 0] = True
    objects = sv.Detections(np.array(boxes), class_id=np.arange(4), data={'near_edge': near_edge})
    assert drop_cut_objects(objects, (200, 200), MARGIN * 64).class_id.tolist() == [1, 2, 3]


@pytest.mark.slow
def test_small_digits_of_a_large_page_are_found_only_with_tiles():
    """The page is 4,000 px high. Each digit is found once with its mask, also in overlaps."""
    image, digits, numbers = page_of(4000, 800)
    model = load(DEMO / 'mask_rcnn_gcvit_digits.py', device='cpu')
    assert not matches(model(image), digits, numbers).any()
    found = model(image, tiles=TILE, batch_size=8)
    which = matches(found, digits, numbers)
    assert which.any(1).mean() >= 0.98
    assert which.sum(1).max() == 1
    for place, one in zip(*which.nonzero(), strict=True):
        mask, digit = found.masks[one], numbers == place + 1
        assert (mask & digit).sum() / (mask | digit).sum() > 0.5
