"""Tiles show their part of an image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdet.datasets.transforms import LoadAnnotations
from numpy.testing import assert_array_equal
from pycocotools import mask as coco_mask

from mmgcvit.datasets.tiles import OBJECT_TILES, RandomMapTile, RandomTile, choose_corner
from mmgcvit.errors import UserError


def encode(mask, kind):
    """Encode a rectangle of ones (height, width) as one of COCO's types of segmentations."""
    rle = coco_mask.encode(np.asfortranarray(mask))
    if kind == 'polygon':
        left, top, width, height = coco_mask.toBbox(rle)
        return [[left, top, left + width, top, left + width, top + height, left, top + height]]
    if kind == 'RLE':
        return {**rle, 'counts': rle['counts'].decode()}
    ends = np.flatnonzero(np.diff(mask.ravel(order='F'), prepend=0, append=2))
    return {'size': list(mask.shape), 'counts': np.diff(ends, prepend=0).tolist()}


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*2 * [st.integers(8, 60)]),
    st.integers(4, 80),
    st.lists(st.tuples(*4 * [st.integers(0, 50)]), max_size=5),
    st.sampled_from(['polygon', 'RLE', 'uncompressed RLE']),
)
def test_a_tile_has_the_objects_of_its_part_of_the_image(seed, size, side, places, kind):
    """Bitmaps are made of the tile only. Objects of which less than 30 % are visible are ignored, and
    crowds stay so. The image has in each pixel its position.
    """
    masks = np.zeros((len(places), *size), np.uint8)
    for mask, (left, top, width, height) in zip(masks, places, strict=True):
        mask[top : top + height + 1, left : left + width + 1] = 1
    masks = masks[masks.any((1, 2))]
    instances = []
    for label, mask in enumerate(masks):
        # Every third object is a crowd.
        is_crowd = int(label % 3 == 2)
        instance = {'bbox': find_box(mask), 'bbox_label': label, 'ignore_flag': is_crowd}
        instance['mask'] = encode(mask, kind)
        instances.append(instance)
    position = np.arange(np.prod(size)).reshape(*size, 1)
    np.random.seed(seed)
    cut = RandomTile(side)({'img': position, 'ori_shape': size, 'instances': instances})
    found = LoadAnnotations(with_bbox=True, with_mask=True)(cut)
    with pytest.raises(UserError, match='Move it before LoadAnnotations'):
        RandomTile(side)(found)
    tile = found['img'][..., 0]
    assert tile.shape == found['img_shape'] == tuple(np.minimum(side, size))
    top, left = divmod(int(tile[0, 0]), size[1])
    window = np.s_[:, top : top + side, left : left + side]
    assert_array_equal(tile, position[window[1:]][..., 0])
    parts = masks[window]
    shown = np.flatnonzero(parts.any((1, 2)))
    assert found['gt_bboxes_labels'].tolist() == shown.tolist()
    assert_array_equal(found['gt_masks'].masks, parts[shown])
    assert found['gt_bboxes'].tensor.tolist() == [find_box(part) for part in parts[shown]]
    visible = parts[shown].sum((1, 2)) / masks[shown].sum((1, 2))
    is_ignored = (visible < 0.3 - 1e-6) | (shown % 3 == 2)
    assert_array_equal(found['gt_ignore_flags'], is_ignored)


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*2 * [st.integers(1, 60)]),
    st.integers(1, 80),
    st.sets(st.integers(0, 255), min_size=1, max_size=4),
)
def test_a_tile_has_its_part_of_the_image_and_of_the_map(seed, size, side, labels):
    """Also of images that are smaller, of strips of one pixel, and where all pixels are ignored.
    The image has in each pixel its position.
    """
    position = np.arange(np.prod(size)).reshape(*size, 1)
    random = np.random.default_rng(seed)
    label_map = random.choice(sorted(labels), size).astype(np.uint8)
    np.random.seed(seed)
    found = RandomMapTile(side)({'img': position, 'ori_shape': size, 'gt_seg_map': label_map})
    tile = found['img'][..., 0]
    assert tile.shape == found['img_shape'] == found['ori_shape']
    assert tile.shape == tuple(np.minimum(side, size))
    top, left = divmod(int(tile[0, 0]), size[1])
    window = np.s_[top : top + side, left : left + side]
    assert_array_equal(tile, position[window][..., 0])
    assert_array_equal(found['gt_seg_map'], label_map[window])


def test_three_of_four_tiles_show_a_random_class_of_the_map():
    """A class of a single pixel is in as many of them as one of half of the pixels: by chance alone,
    one tile in a hundred would show the pixel. Ignored pixels are not looked for.
    """
    label_map = np.zeros((200, 200), np.uint8)
    label_map[:, 100:] = 255
    label_map[150, 20] = 1
    np.random.seed(0)
    num_tiles = 2000
    num_shown = 0
    for _ in range(num_tiles):
        sample = {'img': label_map[..., None], 'gt_seg_map': label_map}
        num_shown += (RandomMapTile(20)(sample)['gt_seg_map'] == 1).any()
    assert num_shown / num_tiles == pytest.approx(OBJECT_TILES / 2, abs=0.05)


def test_a_tile_of_a_map_that_is_not_loaded_is_rejected():
    with pytest.raises(UserError, match='Move it behind LoadAnnotations'):
        RandomMapTile(20)({'img': np.zeros((30, 30, 3))})


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.integers(1, 40),
    st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
)
def test_a_tile_shows_the_pixel_that_it_should(seed, size, side, place):
    """Also a pixel at an edge of the image."""
    shown = np.array([int(part * length) for part, length in zip(place, size, strict=True)])
    np.random.seed(seed)
    corner = choose_corner(size, side, shown)
    assert (corner >= 0).all()
    assert (corner <= np.subtract(size, side).clip(0)).all()
    assert (corner <= shown).all()
    assert (shown < corner + side).all()


@pytest.mark.parametrize(('left', 'is_ignored'), [(7, 0), (8, 1)])
def test_an_object_of_which_less_than_30_percent_are_visible_is_ignored(
    left, is_ignored, monkeypatch
):
    """A tile shows 3 of the 10 px of a box, then 2."""
    monkeypatch.setattr(RandomTile, 'choose_corner', lambda *_: np.array([left, 0]))
    box = {'bbox': [0, 0, 10, 10], 'bbox_label': 0, 'ignore_flag': 0}
    image = np.zeros((40, 40, 3), np.uint8)
    (found,) = RandomTile(20)({'img': image, 'instances': [box]})['instances']
    assert found['ignore_flag'] == is_ignored


def test_three_of_four_tiles_show_an_object():
    """By chance alone, one tile in a hundred would."""
    image = np.zeros((200, 200, 3), np.uint8)
    np.random.seed(0)
    num_tiles = 2000
    num_shown = 0
    for _ in range(num_tiles):
        box = {'bbox': [100, 60, 102, 62], 'bbox_label': 0, 'ignore_flag': 0}
        num_shown += bool(RandomTile(20)({'img': image, 'instances': [box]})['instances'])
    assert num_shown / num_tiles == pytest.approx(OBJECT_TILES, abs=0.05)


def find_box(mask):
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
