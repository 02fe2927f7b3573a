"""Masks of detections that nobody asked for are not made, and those of large images are crops."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmdet.models.roi_heads.mask_heads import fcn_mask_head

from mmgcvit.errors import UserError
from mmgcvit.inference.model_files import load
from mmgcvit.inference.predictor import make_failure
from mmgcvit.inference.results import encode_masks

from .conftest import picture_of

PICTURE = picture_of(90, 120)


@pytest.fixture(scope='module')
def detector():
    """The detector of digits, with each of its candidates."""
    model = load('demo/mask_rcnn_gcvit_digits', device='cpu', score_thr=0.0)
    model.network.roi_head.test_cfg.score_thr = 0.0
    return model


def test_masks_as_crops_equal_the_arrays(detector):
    arrays = detector(PICTURE)
    crops = replace(detector, max_mask_bytes=0)(PICTURE)
    assert len(arrays) > 10
    assert arrays.masks.any((1, 2)).any()
    assert not isinstance(crops.masks, np.ndarray)
    np.testing.assert_array_equal(crops.masks, arrays.masks)
    np.testing.assert_array_equal(crops.boxes, arrays.boxes)
    assert encode_masks(crops.masks) == encode_masks(arrays.masks)
    assert detector.to_coco(crops) == detector.to_coco(arrays)


def test_candidates_under_the_threshold_are_not_pasted(detector, monkeypatch):
    pasted = []
    paste = fcn_mask_head._do_paste_mask
    monkeypatch.setattr(
        fcn_mask_head,
        '_do_paste_mask',
        lambda masks, *args, **kwargs: pasted.append(len(masks)) or paste(masks, *args, **kwargs),
    )
    every = detector(PICTURE)
    assert sum(pasted) == len(every)
    threshold = np.median(every.scores).item()
    pasted.clear()
    kept = replace(detector, score_thr=threshold)(PICTURE)
    assert 0 < sum(pasted) == len(kept) < len(every)
    np.testing.assert_array_equal(kept.masks, every.filter(threshold).masks)


def test_no_object_over_the_threshold_gives_no_masks(detector):
    prediction = replace(detector, score_thr=1.0)(PICTURE)
    assert prediction.masks.shape == (0, 90, 120)


@pytest.mark.parametrize(
    'error',
    [
        MemoryError('Unable to allocate 25.0 GiB'),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 GiB'),
    ],
)
def test_the_message_of_a_full_memory_names_tiles(error):
    assert 'in tiles: --tiles SIDE' in str(make_failure(PICTURE, error))
    assert isinstance(make_failure(PICTURE, error), UserError)


def test_other_failures_do_not_advise_tiles():
    assert '--tiles' not in str(make_failure(PICTURE, ValueError('an odd size')))
