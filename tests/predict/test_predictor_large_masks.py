"""Masks of detections that nobody asked for are not made, and those of large images are crops."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmdet.models.roi_heads.mask_heads import fcn_mask_head
from mmengine.config import Config

from mmgcvit.errors import UserError
from mmgcvit.fixes.mmdet import FCNMaskHead
from mmgcvit.fixes.mmdet.mask_heads import MaskMemory
from mmgcvit.predict.load import load
from mmgcvit.predict.predictor import make_failure
from mmgcvit.predict.results import encode_masks

from ..tools.commands import DEMO
from .conftest import make_work_dir, picture_of

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


OTHER_HEADS = ['rtmdet_ins_gcvit_digits', 'mask2former_gcvit_digits']


@pytest.fixture(scope='module', params=OTHER_HEADS)
def other(request, tmp_path_factory):
    """A detector with another mask head and random weights, with each of its candidates."""
    cfg = Config.fromfile(DEMO / f'{request.param}.py')
    folder = make_work_dir(tmp_path_factory.mktemp('other'), 'detection', cfg)
    return load(folder, device='cpu', score_thr=0.0)


def test_masks_of_other_heads_that_are_made_one_by_one_equal_mmdets(other):
    """They are an array, or crops if an array would need too much memory."""
    whole = replace(other, max_mask_bytes=2**40)(PICTURE)
    assert len(whole) > 10
    assert whole.masks.any((1, 2)).any()
    for max_mask_bytes in (len(whole) * PICTURE[..., 0].size, 0):
        found = replace(other, max_mask_bytes=max_mask_bytes)(PICTURE)
        assert isinstance(found.masks, np.ndarray) == (max_mask_bytes > 0)
        np.testing.assert_array_equal(found.labels, whole.labels)
        np.testing.assert_allclose(found.scores, whole.scores, rtol=1e-5)
        np.testing.assert_allclose(found.boxes, whole.boxes, atol=1e-3)
        np.testing.assert_array_equal(found.masks, whole.masks)
        assert encode_masks(found.masks) == encode_masks(whole.masks)


@pytest.mark.parametrize('other', ['mask2former_gcvit_digits'], indirect=True)
def test_classes_of_stuff_are_no_objects_also_of_masks_that_are_made_one_by_one(other, monkeypatch):
    """In a config of things and stuff, as for panoptic segmentation."""
    every = other(PICTURE)
    first_of_stuff = every.labels.max()
    monkeypatch.setattr(other.network.panoptic_fusion_head, 'num_things_classes', first_of_stuff)
    whole = replace(other, max_mask_bytes=2**40)(PICTURE)
    found = replace(other, max_mask_bytes=0)(PICTURE)
    assert 0 < len(found) < len(every)
    assert found.labels.max() < first_of_stuff
    np.testing.assert_array_equal(found.labels, whole.labels)
    np.testing.assert_array_equal(found.masks, whole.masks)


def test_masks_of_other_heads_under_the_threshold_are_not_made(other, monkeypatch):
    made = []
    shrink = MaskMemory.shrink
    monkeypatch.setattr(MaskMemory, 'shrink', lambda *args: made.append(args) or shrink(*args))
    every = replace(other, max_mask_bytes=0)(PICTURE)
    threshold = np.median(every.scores).item()
    made.clear()
    kept = replace(other, max_mask_bytes=0, score_thr=threshold)(PICTURE)
    np.testing.assert_array_equal(kept.masks, every.filter(threshold).masks)
    # Mask2Former's are made by the score of the class, which is that of the object or higher.
    assert len(kept) <= len(made) <= len(every)
    made.clear()
    for max_mask_bytes in (2**40, 0):
        prediction = replace(other, max_mask_bytes=max_mask_bytes, score_thr=1.0)(PICTURE)
        assert prediction.masks.shape == (0, 90, 120)
    assert not made


def test_mmdets_mask_head_in_a_users_config_needs_no_more_memory(tmp_path):
    base = DEMO / 'mask_rcnn_gcvit_digits.py'
    config = tmp_path / 'own.py'
    config.write_text(
        f"_base_ = {str(base)!r}\nmodel = dict(roi_head=dict(mask_head=dict(type='FCNMaskHead')))"
    )
    model = load(config, DEMO / 'weights' / f'{base.stem}.safetensors', 'cpu')
    assert type(model.network.roi_head.mask_head) is FCNMaskHead


def test_fewer_candidates_over_the_threshold_than_the_model_returns_are_not_limited(other):
    """The model returns candidates of any score, so their number says nothing."""
    limit = other.limit
    assert other(PICTURE).is_limited == (len(other(PICTURE)) >= limit)
    assert not replace(other, score_thr=1.0)(PICTURE).is_limited


@pytest.mark.parametrize(
    'error',
    [
        MemoryError('Unable to allocate 25.0 GiB'),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 GiB'),
    ],
)
def test_the_message_of_a_full_memory_names_tiles(error):
    assert 'in tiles: tiles=SIDE' in str(make_failure(PICTURE, error))
    assert isinstance(make_failure(PICTURE, error), UserError)


def test_other_failures_do_not_advise_tiles():
    assert 'tiles' not in str(make_failure(PICTURE, ValueError('an odd size')))
