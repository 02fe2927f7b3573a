"""Mask targets are mmdet's. Masks of large images: inference/test_predictor_large_masks.py."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet import models as mmdet
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmgcvit.fixes import mmdet as mmdet_fixes

from .boxes import draw_boxes


@pytest.mark.parametrize('kind', ['bitmaps', 'soft targets', 'polygons'])
@given(st.integers(0, 2**32 - 1))
def test_mask_targets_equal_mmdets_bit_for_bit(kind, seed):
    """Images may have no objects, and boxes may be outside of the image."""
    rng = np.random.default_rng(seed)
    cfg = ConfigDict(mask_size=7, soft_mask_target=kind == 'soft targets')
    results = []
    objects = []
    for num_boxes, num_objects in ((0, 0), rng.integers(1, 9, 2)):
        assigned = torch.from_numpy(rng.integers(0, max(num_objects, 1), num_boxes))
        boxes = draw_boxes(rng, num_boxes)
        results.append(SimpleNamespace(pos_priors=boxes, pos_assigned_gt_inds=assigned))
        masks = BitmapMasks(rng.integers(0, 2, (num_objects, 30, 40), np.uint8), 30, 40)
        if kind == 'polygons':
            masks = PolygonMasks([[rng.uniform(0, 30, 8)] for _ in range(num_objects)], 30, 40)
        objects.append(InstanceData(masks=masks))
    found, expected = (
        head(num_convs=0).get_targets(results, objects, rcnn_train_cfg=cfg)
        for head in (mmdet_fixes.FCNMaskHead, mmdet.FCNMaskHead)
    )
    assert torch.equal(found, expected)
