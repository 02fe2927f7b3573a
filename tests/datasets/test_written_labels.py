"""Labels of a picture are compared with those that were written for it."""

import numpy as np
import pytest

from mmgcvit.datasets import outlines
from mmgcvit.datasets.annotations import Box, LabelledObject, Rle
from mmgcvit.datasets.records import ObjectImage
from mmgcvit.datasets.written_labels import WrittenObject, WrittenObjects
from mmgcvit.rle import encode_rle

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
