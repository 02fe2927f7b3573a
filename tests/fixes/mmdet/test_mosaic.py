"""A mosaic combines the masks of four images as it combines their boxes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmgcvit.fixes.mmdet import Mosaic

from ...configs.templates import read_template

SIDE = 40


def make_sample(shape, boxes, label, kind):
    """Make a loaded sample: rectangles of one class, whose masks fill their boxes."""
    height, width = shape
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    image = np.zeros((height, width, 3), np.uint8)
    masks = np.zeros((len(boxes), height, width), np.uint8)
    polygons = []
    for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
        mask[top:bottom, left:right] = 1
        image[top:bottom, left:right] = label + 1
        corners = [left, top, right, top, right, bottom, left, bottom]
        polygons.append([np.array(corners, np.float32)])
    made = BitmapMasks(masks, height, width)
    if kind is PolygonMasks:
        made = PolygonMasks(polygons, height, width)
    return {
        'img': image,
        'img_shape': shape,
        'gt_bboxes': boxes,
        'gt_bboxes_labels': np.full(len(boxes), label),
        'gt_ignore_flags': np.arange(len(boxes)) % 2 == 1,
        'gt_masks': made,
    }


@st.composite
def samples(draw, kind):
    made = []
    for label in range(4):
        height = draw(st.integers(12, 90))
        width = draw(st.integers(12, 90))
        boxes = []
        for _ in range(draw(st.integers(0, 3))):
            left = draw(st.integers(0, width - 9))
            top = draw(st.integers(0, height - 9))
            right = draw(st.integers(left + 8, width))
            bottom = draw(st.integers(top + 8, height))
            boxes.append([left, top, right, bottom])
        made.append(make_sample((height, width), boxes, label, kind))
    return {**made[0], 'mix_results': made[1:]}


@pytest.mark.parametrize('kind', [BitmapMasks, PolygonMasks])
@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 9999))
def test_each_mask_fills_its_box(kind, data, seed):
    np.random.seed(seed)
    results = data.draw(samples(kind))
    flags = Counter()
    for sample in (results, *results['mix_results']):
        flags.update(zip(sample['gt_bboxes_labels'], sample['gt_ignore_flags'], strict=True))
    mosaic = Mosaic(img_scale=(SIDE, SIDE)).transform(results)
    boxes = mosaic['gt_bboxes']
    masks = mosaic['gt_masks'].to_ndarray()
    assert masks.shape == (len(boxes), 2 * SIDE, 2 * SIDE)
    kept = Counter(zip(mosaic['gt_bboxes_labels'], mosaic['gt_ignore_flags'], strict=True))
    assert kept <= flags
    for box, mask in zip(boxes, masks, strict=True):
        left, top, right, bottom = box
        # Where an edge cuts an object, less than a pixel may be left, which has no mask.
        if right - left < 2 or bottom - top < 2:
            continue
        rows, columns = np.nonzero(mask)
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        # The image's sides and the objects' edges are rounded to pixels.
        np.testing.assert_allclose(edges, box, atol=2)


def test_the_masks_lie_on_the_pixels_of_their_class():
    np.random.seed(3)
    made = [make_sample((40, 40), [[4, 6, 30, 34]], label, BitmapMasks) for label in range(4)]
    mosaic = Mosaic(img_scale=(SIDE, SIDE)).transform({**made[0], 'mix_results': made[1:]})
    for label, mask in zip(mosaic['gt_bboxes_labels'], mosaic['gt_masks'].masks, strict=True):
        assert (mosaic['img'][mask > 0] == label + 1).all()
        assert (mask > 0).sum() == (mosaic['img'][..., 0] == label + 1).sum()


def test_without_masks_it_is_mmdets():
    made = [make_sample((40, 40), [[4, 6, 30, 34]], label, BitmapMasks) for label in range(4)]
    for sample in made:
        del sample['gt_masks']
    mosaic = Mosaic(img_scale=(SIDE, SIDE)).transform({**made[0], 'mix_results': made[1:]})
    assert 'gt_masks' not in mosaic


def test_a_probability_of_0_leaves_the_sample_as_it_is():
    made = [make_sample((40, 40), [[4, 6, 30, 34]], label, BitmapMasks) for label in range(4)]
    results = {**made[0], 'mix_results': made[1:]}
    assert Mosaic(img_scale=(SIDE, SIDE), prob=0.0).transform(results) is results


@pytest.mark.parametrize('mixing', [{'mosaic': True}, {'copy_paste': True}])
def test_an_epoch_of_mixed_tiles_has_tiles_per_image(mixing):
    dataset = read_template(
        'custom_coco', tiles=96, tiles_per_image=3, **mixing
    ).train_dataloader.dataset
    assert dataset.type == 'MultiImageMixDataset'
    assert (dataset.dataset.type, dataset.dataset.times) == ('RepeatDataset', 3)
