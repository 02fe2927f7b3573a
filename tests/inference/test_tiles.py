"""Large images in tiles: small objects are found, each once, in as little memory as crops of masks need."""

import json

import cv2
import numpy as np
import pytest
import supervision as sv
from PIL import Image
from pycocotools import mask as coco_mask

from mmgcvit import load
from mmgcvit.inference import Detections
from mmgcvit.inference.drawing import draw_prediction
from mmgcvit.inference.results import list_categories, make_records
from mmgcvit.inference.tiles import cut_tiles, merge_label_maps

from .conftest import assert_same, picture_of
from .large_images import DEMO, TILE, matches, page_of
from .test_inputs import write_video


def test_pixels_have_the_class_that_a_tile_gives_them_which_sees_around_them():
    """No pixel's class comes from nearer to an inner edge of a tile than an eighth of its side."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        size, side = tuple(rng.integers(1, 400, 2).tolist()), int(rng.integers(32, 128))
        label_map, tiles = rng.integers(0, 9, size), cut_tiles(size, side)
        crops = [label_map[top:bottom, left:right] for left, top, right, bottom in tiles]
        assert max(max(crop.shape) for crop in crops) <= side
        np.testing.assert_array_equal(merge_label_maps(tiles, crops, size), label_map)
        depths = []
        for left, top, right, bottom in tiles:
            y, x = np.mgrid[top:bottom, left:right]
            inner = [(y - top, top), (x - left, left)]
            inner += [(bottom - 1 - y, size[0] - bottom), (right - 1 - x, size[1] - right)]
            depths.append(np.min([np.where(is_inner, distance, 999) for distance, is_inner in inner], axis=0))
        assert merge_label_maps(tiles, depths, size).min() >= side // 8


@pytest.mark.parametrize('task', ['detection', 'segmentation'])
def test_an_image_no_larger_than_a_tile_gives_what_it_gives_whole(models, task, picture):
    assert_same(models[task](picture, tiles=120), models[task](picture), tolerance=0)


def test_crops_of_masks_are_written_and_drawn_as_whole_masks_are():
    size, rng = (300, 400), np.random.default_rng(0)
    corners = [(320, 220), (0, 0), (17, 41)]
    masks = np.zeros((3, *size), bool)
    for mask, (x, y) in zip(masks, corners, strict=True):
        mask[y : y + 80, x : x + 80] = rng.random((80, 80)) > 0.5
    boxes = np.array([(x, y, x + 80, y + 80) for x, y in corners], np.float32)
    crops = sv.CompactMask.from_dense(masks, boxes, size)
    whole, cropped = (
        Detections(boxes, np.ones(3, np.float32), np.zeros(3, np.int64), ['a'] * 3, each) for each in (masks, crops)
    )
    categories = list_categories('detection', ['a'])
    records = make_records(cropped, categories)
    assert records == make_records(whole, categories)
    for record, mask in zip(records, masks, strict=True):
        np.testing.assert_array_equal(coco_mask.decode(record['segmentation']), mask)
    image = np.zeros((*size, 3), np.uint8)
    for scale in (1, 0.5):
        one, other = (draw_prediction(image, each, [(255, 0, 0)], scale) for each in (whole, cropped))
        assert (one != other).mean() < 0.05


@pytest.mark.slow
def test_small_digits_of_a_large_page_are_found_in_tiles_alone():
    """4,000 px high; each once, with its mask, also where tiles meet."""
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


def test_the_command_takes_photos_and_videos_in_tiles(call, work_dirs, tmp_path):
    """In the coordinates of the whole picture, with its EXIF rotation applied."""
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
        assert records
        assert all(coco_mask.decode(record['segmentation']).shape == (200, 90) for record in records)
        assert cv2.imread(str(tmp_path / task / 'vis' / 'photo.jpg')).shape == (200, 90, 3)
        assert len((tmp_path / task / 'preds' / 'film.jsonl').read_text().splitlines()) == 5
