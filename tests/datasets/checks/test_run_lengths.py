"""Run lengths are counted without decoding them, as pycocotools writes them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from mmgcvit.datasets.checks.coco import are_whole, numbers_of_pixels

MASKS = st.lists(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 1)))


def encoded(mask):
    runs = coco_mask.encode(np.asfortranarray(mask))
    return {'size': runs['size'], 'counts': runs['counts'].decode()}


@given(MASKS)
def test_masks_as_pycocotools_writes_them_are_whole(masks):
    assert are_whole([encoded(mask) for mask in masks], [mask.shape for mask in masks]).all()


@given(MASKS)
def test_cut_masks_are_not(masks):
    cut = [encoded(mask) for mask in masks]
    cut = [runs | {'counts': runs['counts'][:-1]} for runs in cut]
    assert not are_whole(cut, [mask.shape for mask in masks]).any()


def test_long_runs_are_counted():
    mask = np.zeros((3000, 4000), dtype=np.uint8)
    mask[100:, 100:] = 1
    assert numbers_of_pixels([encoded(mask)['counts']]).tolist() == [mask.size]


@pytest.mark.parametrize('lengths', [[2**29 - 1, 1], [1, 2**29 - 1], [0, 2**24, 5, 2**24]])
def test_numbers_of_six_characters_are_counted_wherever_they_stand(lengths):
    """As runs of 16,777,216 pixels and more take."""
    counts = coco_mask.frPyObjects({'size': [1, sum(lengths)], 'counts': lengths}, 1, sum(lengths))['counts']
    assert numbers_of_pixels([counts.decode()]).tolist() == [sum(lengths)]


@pytest.mark.parametrize(
    ('counts', 'whole'),
    [([4, 2], True), ([0, 6], True), ([4, 1], False), ([4, 3], False), ([7, -1], False), ([5.0, 1], False)],
)
def test_lengths_in_a_list_are_whole_numbers_that_add_up_to_all_pixels(counts, whole):
    assert are_whole([{'size': [2, 3], 'counts': counts}], [(2, 3)]).tolist() == [whole]


@pytest.mark.parametrize('string', ['', 'P', '0P', 'é', '~', ' ', 'PPPPPPPP0'])
def test_what_is_no_mask_has_no_pixels(string):
    assert numbers_of_pixels([string, '4']).tolist() == [-1, 4]
