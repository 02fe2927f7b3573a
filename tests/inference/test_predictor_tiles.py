"""Objects of large images are detected in tiles, each once, with masks stored as crops to save
memory.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import supervision as sv

from mmgcvit import load
from mmgcvit.inference.detector import MARGIN, TileDetector, drop_cut_objects, find_near_edges
from mmgcvit.inference.results import Detections, Outcome

from ..tools.commands import DEMO
from .conftest import picture_of
from .large_images import TILE, matches, page_of

EMPTY = Detections(
    np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ['cat']
)


def test_a_cut_off_object_is_dropped_if_another_tile_shows_it_completely():
    """Classes do not matter.

    Objects at the image's border, and those that no complete object covers, are kept.
    """
    boxes = [(10, 40, 64, 90), (8, 40, 100, 90), (48, 10, 64, 30), (0, 60, 30, 80)]
    near_edge = np.zeros((4, 4), bool)
    near_edge[[0, 2], 2] = near_edge[3, 0] = True
    objects = sv.Detections(np.array(boxes), class_id=np.arange(4), data={'near_edge': near_edge})
    assert drop_cut_objects(objects, (200, 200), MARGIN * 64).class_id.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ('box', 'edges'),
    [
        ((1, 20, 50, 40), 'left'),
        ((20, 1, 50, 40), 'top'),
        ((20, 20, 99, 40), 'right'),
        ((20, 20, 50, 59), 'bottom'),
        ((1, 1, 99, 59), 'left top right bottom'),
        ((2, 2, 98, 58), 'left top right bottom'),  # as far as the margin
        ((3, 3, 97, 57), ''),
    ],
)
def test_the_edges_of_a_tile_that_a_box_is_near(box, edges):
    """The tile is 100 px wide and 60 high."""
    (found,) = find_near_edges(np.array([box]), size=(60, 100), margin=2)
    names = np.array(['left', 'top', 'right', 'bottom'])
    assert ' '.join(names[found]) == edges


@pytest.mark.parametrize('limited', [0, 1, 2])
def test_counts_may_be_too_low_if_any_tile_had_as_many_objects_as_the_model_returns(limited):
    def predict_batch(tiles):
        flags = [number == limited for number in range(len(tiles))]
        return [Outcome(replace(EMPTY, is_limited=flag)) for flag in flags]

    detect = TileDetector(SimpleNamespace(predict_batch=predict_batch), margin=2)
    detect([np.zeros((64, 64, 3), np.uint8)] * 2)
    assert detect.is_limited == (limited < 2)


def test_an_image_without_objects_has_no_masks_of_its_size_in_tiles(models):
    """As without tiles: an array, and not None, which would be a model without masks."""
    model = replace(models['detection'], score_thr=1.0)
    for tiles in (0, 64):
        assert model(picture_of(90, 120), tiles=tiles).masks.shape == (0, 90, 120)


@pytest.mark.parametrize('task', ['detection', 'segmentation'])
@pytest.mark.parametrize(
    ('size', 'is_cut'), [((64, 64), False), ((64, 20), False), ((65, 20), True), ((20, 65), True)]
)
def test_an_image_is_cut_into_tiles_if_a_side_is_longer(task, size, is_cut, models, monkeypatch):
    cut = []
    model = models[task].with_tiles(64, 1)
    monkeypatch.setattr(type(model), 'predict_in_tiles', lambda *_: cut.append(1) or EMPTY)
    model(picture_of(*size))
    assert len(cut) == is_cut


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
