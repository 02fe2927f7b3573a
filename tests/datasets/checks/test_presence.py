"""What a config names and nothing reads need not be there."""

import pytest
from mmengine.hub import get_config

from mmgcvit.datasets.checks.presence import check_presence
from mmgcvit.errors import UserError


def missing(name):
    with pytest.raises(UserError) as refused:
        check_presence(get_config(f'mmdet::{name}_coco.py'), ['train_dataloader', 'val_dataloader'])
    return str(refused.value)


def test_segments_are_asked_for_only_where_a_step_of_the_pipeline_reads_them():
    """Mask2Former's config for objects inherits the folders of the one for panoptic segmentation."""
    objects = missing('mask2former/mask2former_r50_8xb2-lsj-50e')
    assert 'data/coco/train2017' in objects
    assert 'annotations/panoptic' not in objects
    assert 'data/coco/stuffthingmaps/train2017' in missing('htc/htc_r50_fpn_1x')
    panoptic = missing('panoptic_fpn/panoptic-fpn_r50_fpn_1x')
    assert 'data/coco/annotations/panoptic_train2017\n' in panoptic
    assert 'data/coco/annotations/panoptic_val2017\n' in panoptic
