"""Objects of large images are detected in tiles, each once, with masks stored as crops to save
memory.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import supervision as sv
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from mmgcvit import load
from mmgcvit.inference.drawing import draw_prediction
from mmgcvit.inference.predictor import MARGIN, Segmentor, drop_cut_objects, place_tiles
from mmgcvit.inference.results import (
    Detections,
    Outcome,
    Segmentation,
    list_categories,
    make_records,
)

from .large_images import DEMO, TILE, matches, page_of


def test_cropped_masks_are_written_and_drawn_like_full_masks():
    size, rng = (300, 400), np.random.default_rng(0)
    boxes = np.array([[320, 220, 400, 300], [0, 0, 80, 80], [17, 41, 97, 121]], np.float32)
    masks = np.zeros((3, *size), bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
        mask[top:bottom, left:right] = rng.random((80, 80)) > 0.5
    scores, labels = np.ones(3, np.float32), np.zeros(3, np.int64)
    whole = Detections(boxes, scores, labels, ['a'] * 3, masks)
    cropped = replace(whole, masks=sv.CompactMask.from_dense(masks, boxes, size))
    categories = list_categories('detection', ['a'])
    records = make_records(cropped, categories)
    assert records == make_records(whole, categories)
    for record, mask in zip(records, masks, strict=True):
        np.testing.assert_array_equal(coco_mask.decode(record['segmentation']), mask)
    image = np.zeros((*size, 3), np.uint8)
    one, other = (draw_prediction(image, each, [(255, 0, 0)], 0.5) for each in (whole, cropped))
    assert (one != other).mean() < 0.05


def test_a_cut_off_object_is_dropped_if_another_tile_shows_it_completely():
    """Classes do not matter.

    Objects at the image's border, and those that no complete object covers, are kept.
    """
    boxes = [(10, 40, 64, 90), (8, 40, 100, 90), (48, 10, 64, 30), (0, 60, 30, 80)]
    near_edge = np.zeros((4, 4), bool)
    near_edge[[0, 2], 2] = near_edge[3, 0] = True
    objects = sv.Detections(
        xyxy=np.array(boxes, np.float32),
        class_id=np.arange(4),
        confidence=np.ones(4),
        data={'near_edge': near_edge},
    )
    found = drop_cut_objects(objects, (200, 200), MARGIN * 64)
    assert found.class_id.tolist() == [1, 2, 3]


@given(st.integers(1, 400), st.integers(1, 400), st.integers(32, 200), st.integers(1, 5))
def test_each_pixel_of_a_segmentation_is_that_of_the_tile_whose_centre_is_nearest(
    height, width, side, batch_size
):
    """The stand-in gives each pixel a class that tells its position in the image."""
    image = np.zeros((height, width, 3), np.uint16)
    image[..., 0], image[..., 1] = np.arange(width), np.arange(height)[:, None]

    @dataclass
    class Model:
        tiles: int | None = side
        tiles_per_batch: int = batch_size
        classes = range(1 << 20)

        def predict_batch(self, tiles):
            assert len({tile.shape for tile in tiles}) == 1
            return [Outcome(Segmentation(tile @ [1, 1000, 0], None, None, None)) for tile in tiles]

    found = Segmentor.predict_in_tiles(Model(), image)
    np.testing.assert_array_equal(found.label_map, image @ [1, 1000, 0])


@given(st.integers(1, 400), st.integers(32, 200))
def test_what_a_tile_replaces_does_not_end_near_its_edge(length, side):
    """There the network sees one side only."""
    places = place_tiles(length, side)
    for (before, _), (start, begin) in pairwise(places):
        assert begin - start >= side // 8 - 1
        assert before + side - begin >= side // 8 - 1
    assert places[-1][0] + side >= length


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
