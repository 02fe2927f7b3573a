"""Labels of a picture are compared with those that were written for it."""

from dataclasses import replace

import numpy as np
import pytest

from mmgcvit.datasets.annotations import Box, LabelledObject, Rle
from mmgcvit.datasets.shapes import decode_counts
from mmgcvit.ops.rle import encode_rle
from mmgcvit.own.data import outlines
from mmgcvit.own.data.object_records import ObjectImage
from mmgcvit.own.data.written_labels import WrittenObject, WrittenObjects

NUM_CELLS = 16
SIDE = 10
SIZE = WIDTH, HEIGHT = 20 * NUM_CELLS, 40


def make_cells(shift=0):
    """Return a picture with squares in a row, whose masks are RLE, and what was written for them.

    ``shift`` moves the mask of the last one down, in pixels.
    """
    objects = []
    written = []
    for number in range(NUM_CELLS):
        left = 20 * number + 5
        top = 15 + shift * (number == NUM_CELLS - 1)
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[top : top + SIDE, left : left + SIDE] = True
        box = Box(left, top, SIDE, SIDE)
        objects.append(LabelledObject(number, 'cell', box, SIDE**2, Rle(**encode_rle(mask))))
        right, bottom = left + SIDE, 15 + SIDE
        polygon = [left, 15, right, 15, right, bottom, left, bottom]
        written.append(WrittenObject('cell', (left, 15, right, bottom), [polygon]))
    return ObjectImage('a.png', id=1, size=SIZE, objects=objects), WrittenObjects(SIZE, written)


@pytest.mark.parametrize(('shift', 'is_unchanged'), [(0, True), (1, True), (2, False), (9, False)])
def test_a_mask_is_drawn_only_beside_a_written_one_near_it(
    shift, is_unchanged, monkeypatch, tmp_path
):
    """Otherwise 300 cells would be drawn 90,000 times."""
    image, written = make_cells(shift)
    drawn = []

    def draw(mask):
        drawn.append(mask)
        return draw_rle(mask)

    draw_rle = outlines.draw_rle
    monkeypatch.setattr(outlines, 'draw_rle', draw)
    assert written.are_unchanged(image, tmp_path, ['cell']) == is_unchanged
    assert len(drawn) <= NUM_CELLS


@pytest.mark.parametrize('lacks', ['image', 'written'])
def test_an_object_that_only_one_side_has_is_a_correction(lacks, tmp_path):
    image, written = make_cells()
    if lacks == 'image':
        image = ObjectImage('a.png', id=1, size=SIZE, objects=image.objects[1:])
    else:
        written = WrittenObjects(SIZE, written.objects[1:])
    assert not written.are_unchanged(image, tmp_path, ['cell'])


def test_an_object_that_somebody_marked_as_ignored_is_a_correction(tmp_path):
    """As a crowd or as difficult. ``predict --labels`` writes none."""
    image, written = make_cells()
    assert written.are_unchanged(image, tmp_path, ['cell'])
    objects = [replace(image.objects[0], is_ignored=True), *image.objects[1:]]
    assert not written.are_unchanged(replace(image, objects=objects), tmp_path, ['cell'])


@pytest.mark.parametrize(
    'mask', [[[5, 15, 15, 25]], Rle(**encode_rle(np.zeros((HEIGHT, WIDTH), bool)))]
)
def test_a_mask_that_breaks_a_rule_is_a_correction(mask, tmp_path):
    """``predict --labels`` writes none that is a line or empty."""
    image, written = make_cells()
    objects = [replace(image.objects[0], mask=mask), *image.objects[1:]]
    assert not written.are_unchanged(replace(image, objects=objects), tmp_path, ['cell'])


def test_coordinates_with_decimals_may_differ_by_exactly_a_pixel():
    """Whatever their sums of binary fractions are: 2.14 - 1.14 is more than 1."""
    for number in range(4000):
        here = [number / 100]
        assert outlines.are_near([(number + 100) / 100], here, 1.0)
        assert not outlines.are_near([(number + 101) / 100], here, 1.0)


def drop_masks(image):
    """Return a picture with the boxes of its objects alone."""
    return replace(image, objects=[replace(each, mask=None) for each in image.objects])


@pytest.mark.parametrize('edge', range(4))
@pytest.mark.parametrize('with_polygons', [False, True])
@pytest.mark.parametrize('shift', [0.5, 1, 1.1, 2, 2.1, 3])
@pytest.mark.parametrize('sign', [-1, 1])
def test_an_edge_of_a_box_is_rounded_by_a_pixel_or_moved(
    edge, with_polygons, shift, sign, tmp_path
):
    """The box of written polygons, which are up to a pixel from the mask, by two pixels."""
    image, written = make_cells()
    image = drop_masks(image)
    if not with_polygons:
        objects = [replace(each, polygons=()) for each in written.objects]
        written = WrittenObjects(SIZE, objects)
    edges = [*image.objects[3].box.edges]
    edges[edge] += sign * shift
    left, top, right, bottom = edges
    objects = [*image.objects]
    objects[3] = replace(objects[3], box=Box(left, top, right - left, bottom - top))
    is_unchanged = shift <= (2 if with_polygons else 1)
    moved = replace(image, objects=objects)
    assert written.are_unchanged(moved, tmp_path, ['cell']) == is_unchanged


def test_a_mask_that_is_drawn_on_a_written_box_is_a_correction(tmp_path):
    image, written = make_cells()
    boxes = WrittenObjects(SIZE, [replace(each, polygons=()) for each in written.objects])
    assert not boxes.are_unchanged(image, tmp_path, ['cell'])
    assert boxes.are_unchanged(drop_masks(image), tmp_path, ['cell'])


SQUARE = [(40, 20), (100, 20), (100, 80), (40, 80)]
# A cut into its right side, so that the edges of the mask stay where they are.
NOTCHED = [(40, 20), (100, 20), (100, 40), (70, 40), (70, 60), (100, 60), (100, 80), (40, 80)]


def move_notch(pixels):
    """Return the square with a notch that is larger by so many pixels on three sides."""
    corners = np.array(NOTCHED)
    corners[[2, 3], 1] -= pixels
    corners[[4, 5], 1] += pixels
    corners[[3, 4], 0] -= pixels
    return corners


@pytest.mark.parametrize('kind', ['polygon', 'RLE', 'uncompressed RLE'])
@pytest.mark.parametrize('pixels', [-4, -3, -2, -1, 0, 1, 2, 3, 4])
def test_a_mask_is_rounded_by_a_pixel_or_changed(pixels, kind, tmp_path):
    """Whether somebody has drawn less of it or more. Its edges are the same."""
    size = 140, 100
    corners = move_notch(pixels)
    # Other tools add corners in the middle of a side, which is no change.
    polygon = [*SQUARE[0], 70, 20, *corners.ravel().tolist()[2:]]
    mask = [polygon]
    if kind != 'polygon':
        drawn = np.zeros(size[::-1], np.uint8)
        drawn[20:80, 40:100] = 1
        top, bottom = corners[2, 1], corners[4, 1]
        drawn[top:bottom, corners[3, 0] : 100] = 0
        mask = Rle(**encode_rle(drawn.astype(bool)))
    if kind == 'uncompressed RLE':
        mask = replace(mask, counts=decode_counts(mask.counts))
    box = Box(40, 20, 60, 60)
    image = ObjectImage('a.png', size, [LabelledObject(1, 'cell', box, 3000, mask)], id=1)
    flat = np.ravel(NOTCHED).tolist()
    written = WrittenObjects(size, [WrittenObject('cell', (40, 20, 100, 80), [flat])])
    assert written.are_unchanged(image, tmp_path, ['cell']) == (abs(pixels) <= 1)
