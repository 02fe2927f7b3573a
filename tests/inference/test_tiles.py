"""Large images in tiles: nothing is lost or doubled at seams, and no more is held than an image and a tile's worth."""

import json
import tracemalloc

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmgcvit import load
from mmgcvit.inference import Detections, Segmentation
from mmgcvit.inference.drawing import drawn
from mmgcvit.inference.results import Masks, Part, categories_of, records_of
from mmgcvit.inference.tiles import joined_label_map, joined_objects, tiles_of

from .conftest import assert_same, picture_of
from .large_images import DEMO, TILE, matches, page_of
from .test_inputs import write_video


def seen_in(tile, boxes, labels, masks, rng):
    """What a perfect detector sees in a tile: of parts it doubts the class, and the surer it is the wronger."""
    left, top, right, bottom = tile
    number = np.flatnonzero(masks[:, top:bottom, left:right].any((1, 2)))
    inside = np.clip(boxes[number].reshape(-1, 2, 2), (left, top), (right, bottom)).reshape(-1, 4)
    is_part = (boxes[number] != inside).any(1)
    order = rng.permutation([*range(len(number)), *np.flatnonzero(is_part & (number != LARGE))])
    number, inside = number[order], inside[order] - np.float32((left, top) * 2)
    scores = rng.uniform(0.5, 0.9, len(order)) + 0.1 * is_part[order]
    classes = np.where(is_part[order] & (number != LARGE), rng.integers(5, 9, len(order)), labels[number])
    names = [str(label) for label in classes]
    return Detections(inside, scores.astype(np.float32), classes, names, masks[number, top:bottom, left:right])


LARGE = 0


def scene(size=(700, 900)):
    """Ellipses: one larger than a tile, pairs of which one nearly covers the other, rows of neighbours at all seams."""
    boxes = [(40, 500, 880, 690)]
    # In front of it, each of them fills what two tiles both see of it, or most of that.
    boxes += [(x, 502, x + 62, 688) for x in range(60, 810, 63)]
    boxes += [(x + more, 110 + more, x + 50, 160) for x in range(5, 850, 60) for more in (0, 3)]
    boxes += [(x, y, x + 44, y + 52) for y in range(210, 440, 56) for x in range(5, 850, 47)]
    masks = np.zeros((len(boxes), *size), bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        y, x = np.ogrid[0.5 : bottom - top, 0.5 : right - left]
        mask[top:bottom, left:right] = (2 * x / (right - left) - 1) ** 2 + (2 * y / (bottom - top) - 1) ** 2 <= 1
    # Of a pair both have one class.
    return np.array(boxes, np.float32), (np.arange(len(boxes)) + 1) // 2 % 5, masks


@pytest.mark.parametrize('side', [250, 256, 300])
def test_objects_at_seams_are_found_once_and_whole(side):
    """Those that fit into what tiles overlap by, whatever class their parts have; one that no tile sees whole too."""
    boxes, labels, masks = scene()
    rng = np.random.default_rng(side)
    tiles = tiles_of(masks.shape[1:], side)
    found = joined_objects(((tile, seen_in(tile, boxes, labels, masks, rng)) for tile in tiles), masks.shape[1:])
    assert len(tiles) >= 12
    assert found.masks.shape == masks.shape
    assert sum(part.mask.size for part in found.masks.parts) == np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum()
    assert (np.diff(found.scores) <= 0).all()
    order, true = np.lexsort(found.boxes.T), np.lexsort(boxes.T)
    np.testing.assert_array_equal(found.boxes[order], boxes[true])
    np.testing.assert_array_equal(found.labels[order], labels[true])
    assert [found.class_names[number] for number in order] == [str(label) for label in labels[true]]
    assert all((found.masks[number] == masks[one]).all() for number, one in zip(order, true, strict=True))


def test_classes_of_pixels_are_those_of_a_tile_that_sees_around_them():
    """Every pixel, from no nearer to an edge of a tile inside the image than an eighth of its side."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        size, side = tuple(rng.integers(1, 400, 2).tolist()), int(rng.integers(32, 128))
        tiles = tiles_of(size, side)
        label_map, depth = rng.integers(0, 9, size), np.full(size, 999)
        assert max(max(right - left, bottom - top) for left, top, right, bottom in tiles) <= side

        def seen(values, tiles=tiles):
            maps = (values(left, top, right, bottom) for left, top, right, bottom in tiles)
            return zip(tiles, (Segmentation(values, None, [], None) for values in maps), strict=True)

        def depths(left, top, right, bottom, size=size):
            y, x = np.mgrid[top:bottom, left:right]
            ends = (
                (y - top, top),
                (bottom - 1 - y, size[0] - bottom),
                (x - left, left),
                (right - 1 - x, size[1] - right),
            )
            return np.min([np.where(inside, distance, 999) for distance, inside in ends], axis=0)

        joined = joined_label_map(seen(lambda a, b, c, d, whole=label_map: whole[b:d, a:c]), size)
        np.testing.assert_array_equal(joined, label_map)
        depth = joined_label_map(seen(depths), size)
        assert depth.min() >= side // 8


@pytest.mark.parametrize('task', ['detection', 'segmentation'])
def test_an_image_no_larger_than_a_tile_gives_what_it_gives_whole(models, task, picture):
    assert_same(models[task](picture, tiles=120), models[task](picture), tolerance=0)


def test_pixels_that_one_tile_sees_have_the_classes_that_it_gives_alone(models):
    """Also the half of what it shares with a neighbour: tiles of 100 px begin at 0, 58, 115, 172 and 230."""
    large = picture_of(100, 330)
    found = models['segmentation'](large, tiles=100, batch_size=3)
    for left in (0, 58, 115, 172, 230):
        alone = models['segmentation'](np.ascontiguousarray(large[:, left : left + 100]))
        np.testing.assert_array_equal(found.label_map[:, left + 35 : left + 65], alone.label_map[:, 35:65])


def test_masks_of_a_large_image_are_held_drawn_and_written_as_parts():
    """100 of 6,400 px in 4,000 x 3,000: whole they were 1.2 GB."""
    size, rng = (3000, 4000), np.random.default_rng(0)
    corners = rng.integers(0, np.subtract(size, 80), (100, 2))
    corners[0] = np.subtract(size, 80)
    boxes = np.array([(x, y, x + 80, y + 80) for y, x in corners], np.float32)
    masks = Masks([Part(rng.random((80, 80)) > 0.5, int(x), int(y)) for y, x in corners], size)
    found = Detections(boxes, np.ones(100, np.float32), np.zeros(100, np.int64), ['a'] * 100, masks)
    tracemalloc.start()
    records = records_of(found, categories_of('detection', ['a']))
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
    for number in (0, 99):
        np.testing.assert_array_equal(coco_mask.decode(records[number]['segmentation']), masks[number])
    # As drawn from whole masks.
    one, two = (
        Detections(boxes[:2], found.scores[:2], found.labels[:2], ['a'] * 2, each)
        for each in (Masks(masks.parts[:2], size), np.array([masks[0], masks[1]]))
    )
    image = np.zeros((*size, 3), np.uint8)
    np.testing.assert_array_equal(drawn(image, one, [(255, 0, 0)]), drawn(image, two, [(255, 0, 0)]))


@pytest.mark.slow
def test_small_digits_of_a_large_page_are_found_in_tiles_alone():
    """4,000 px high; each once, with its mask, also where tiles meet."""
    image, digits, numbers = page_of(4000, 800)
    model = load(DEMO / 'mask_rcnn_gcvit_digits.py', device='cpu')
    assert not matches(model(image), digits, numbers).any()
    found = model(image, tiles=TILE, batch_size=8)
    which = matches(found, digits, numbers)
    # Of the same digits in tiles without seams 0.98 are found; the rest are read as other ones.
    assert which.any(1).mean() > 0.95
    assert which.sum(1).max() == 1
    places, objects = which.nonzero()
    overlaps = [
        (found.masks[one] & (numbers == place + 1)).sum() / (found.masks[one] | (numbers == place + 1)).sum()
        for place, one in zip(places, objects, strict=True)
    ]
    assert min(overlaps) > 0.5
    # What the first tile alone sees is as in a picture of it; the second one begins at 181, that below it at 187.
    alone = model(np.ascontiguousarray(image[:TILE, :TILE]))
    apart = (alone.boxes[:, 2:] < (181, 187)).all(1)
    assert apart.any()
    for box, score in zip(alone.boxes[apart], alone.scores[apart], strict=True):
        # In a batch of others: rounding of float32, in numbers of some hundreds.
        same = np.isclose(found.boxes, box, atol=1e-2).all(1) & np.isclose(found.scores, score, atol=1e-3)
        assert same.sum() == 1


def test_the_command_takes_photos_and_videos_in_tiles(call, work_dirs, tmp_path):
    """In the coordinates of the whole picture, turned upright by its EXIF data."""
    lying = Image.fromarray(picture_of(90, 200))
    exif = lying.getexif()
    exif[0x0112] = 6
    lying.save(tmp_path / 'photo.jpg', exif=exif)
    write_video(tmp_path / 'film.avi')
    options = ['photo.jpg', 'film.avi', '--tiles', 64, '--batch-size', 4, '--device', 'cpu']
    for task, threshold in (('detection', ['--score-thr', 0]), ('segmentation', [])):
        code, printed = call('predict', work_dirs[task], *options, '--out-dir', task, *threshold)
        assert code == 0, printed
        records = json.loads((tmp_path / task / 'predictions.json').read_text())
        assert all(coco_mask.decode(record['segmentation']).shape == (200, 90) for record in records)
        assert cv2.imread(str(tmp_path / task / 'vis' / 'photo.jpg')).shape == (200, 90, 3)
        assert len((tmp_path / task / 'preds' / 'film.jsonl').read_text().splitlines()) == 5
    # More objects than one tile gives: three, as the model is made.
    assert len(json.loads((tmp_path / 'detection' / 'predictions.json').read_text())) > 3
