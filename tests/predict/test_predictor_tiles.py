"""Objects of large images are detected in tiles, each once, with masks stored as crops to save
memory.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import supervision as sv
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mmgcvit import load
from mmgcvit.predict.detector import Detector, TileDetector, drop_cut_objects, find_near_edges
from mmgcvit.predict.results import Detections, Outcome

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
    corners = np.array([box[:2] for box in boxes])
    tiles = [(0, 30, 64, 94), (0, 30, 104, 94), (0, 0, 64, 64), (0, 30, 64, 94)]
    data = {'tile': np.array(tiles) - np.hstack([corners, corners])}
    objects = sv.Detections(np.array(boxes), class_id=np.arange(4), data=data)
    assert drop_cut_objects(objects, (200, 200), margin=1).class_id.tolist() == [1, 2, 3]


def predict_in_tiles(image, side, detect):
    """Return what is found in an image by a detector that returns (box, score, label)s of a tile."""

    def predict_batch(tiles):
        outcomes = []
        for tile in tiles:
            found = detect(tile)
            boxes = np.array([box for box, _, _ in found], np.float32).reshape(-1, 4)
            scores = np.array([score for _, score, _ in found], np.float32)
            labels = np.array([label for _, _, label in found], np.int64)
            outcomes.append(Outcome(Detections(boxes, scores, labels, ['cat', 'dog'])))
        return outcomes

    model = SimpleNamespace(
        network=None, predict_batch=predict_batch, tiles_per_batch=3, classes=['cat', 'dog']
    )
    return Detector.predict_in_tiles(model, image, side)


@given(
    size=st.tuples(st.integers(60, 180), st.integers(60, 180)),
    places=st.sets(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=8),
    shape=st.tuples(st.integers(5, 12), st.integers(5, 12)),
    shift=st.integers(0, 6),
)
# The second tile begins a pixel below the first one, and so cuts an object at the image's edge.
@example(size=(65, 60), places={(0, 1)}, shape=(5, 5), shift=0)
def test_objects_that_fit_into_the_overlap_of_tiles_are_found_once_and_completely(
    size, places, shape, shift
):
    """Though a tile that cuts one is surer of the part, and takes it for another class."""
    height, width = shape
    image = np.zeros((*size, 3), np.uint8)
    expected = set()
    for number, (row, column) in enumerate(sorted(places), start=1):
        top, left = 19 * row + shift, 19 * column + shift
        if top + height <= size[0] and left + width <= size[1]:
            image[top : top + height, left : left + width] = number
            expected.add((left, top, left + width, top + height))

    def detect(tile):
        found = []
        for number in set(tile[..., 0].flat) - {0}:
            y, x = np.nonzero(tile[..., 0] == number)
            is_part = len(x) < height * width
            box = (x.min(), y.min(), x.max() + 1, y.max() + 1)
            found.append((box, 0.9 if is_part else 0.5 + number / 100, int(is_part)))
        return found

    found = predict_in_tiles(image, 64, detect)
    assert {tuple(box) for box in found.boxes.astype(int).tolist()} == expected
    assert len(found) == len(expected)
    assert found.labels.tolist() == [0] * len(expected)
    assert found.scores.tolist() == sorted(found.scores, reverse=True)


SIDES = st.tuples(st.integers(2, 30), st.integers(2, 30))


@given(SIDES, SIDES, st.integers(0, 30), st.integers(0, 30), st.booleans())
def test_of_two_objects_of_a_class_one_that_mostly_lies_in_the_other_is_dropped(
    first, second, left, top, are_of_one_class
):
    """By the share of the smaller one, which a part of the other may be: their IoU may be low."""
    boxes = [(0, 0, *first), (left, top, left + second[0], top + second[1])]
    shared = [max(0, min(boxes[0][i + 2], boxes[1][i + 2]) - boxes[1][i]) for i in (0, 1)]
    share = shared[0] * shared[1] / min(first[0] * first[1], second[0] * second[1])
    assume(abs(share - 0.5) > 0.01)
    objects = [(boxes[0], 0.9, 0), (boxes[1], 0.5, 0 if are_of_one_class else 1)]
    found = predict_in_tiles(np.zeros((64, 64, 3), np.uint8), 64, lambda tile: objects)
    is_dropped = are_of_one_class and share > 0.5
    assert found.boxes.astype(int).tolist() == [*map(list, boxes)][: 1 if is_dropped else 2]


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
    (found,) = find_near_edges(np.array([box]), np.array([0, 0, 100, 60]), margin=2)
    names = np.array(['left', 'top', 'right', 'bottom'])
    assert ' '.join(names[found]) == edges


@pytest.mark.parametrize('limited', [0, 1, 2])
def test_counts_may_be_too_low_if_any_tile_had_as_many_objects_as_the_model_returns(limited):
    def predict_batch(tiles):
        flags = [number == limited for number in range(len(tiles))]
        return [Outcome(replace(EMPTY, is_limited=flag)) for flag in flags]

    detect = TileDetector(SimpleNamespace(predict_batch=predict_batch))
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
