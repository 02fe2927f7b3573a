"""Assigners with predictions that are not finite and with ignored objects, and a sampler: all else
is as in mmdet.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models import task_modules
from mmdet.structures.bbox import bbox_overlaps
from mmengine.registry import TASK_UTILS, init_default_scope
from mmengine.structures import InstanceData

from mmgcvit.fixes import mmdet as mmdet_fixes
from mmgcvit.host.config import iter_dicts

from ...configs.models import read
from .boxes import draw_boxes

NAN = float('nan')
INF = float('inf')
DETECTORS = (
    'faster_rcnn_gcvit_t_boxonly',
    'dino_gcvit_t_12e',
    'other_heads/mask2former_gcvit_t',
    'other_heads/rtmdet_ins_gcvit_t',
    'cascade_gcvit_t',
)


def test_samples_are_drawn_on_the_boxes_device_and_equal_mmdets_on_a_cpu():
    drawn = []
    for package in (task_modules, mmdet_fixes):
        torch.manual_seed(0)
        sampler = package.RandomSampler(9, 0.5)
        drawn.append(sampler.random_choice(torch.arange(50) * 2, 9))
    assert torch.equal(*drawn)
    assert sampler.random_choice(torch.empty(50, device='meta'), 9).is_meta


@pytest.mark.parametrize('part', ['bboxes', 'scores'])
@pytest.mark.parametrize('value', [None, NAN, INF, -INF, 3e38])
def test_assigner_accepts_nonfinite_predictions_and_otherwise_equals_mmdets(value, part):
    init_default_scope('mmdet')
    settings = read('dino_gcvit_t_12e').model.train_cfg.assigner
    objects = InstanceData(
        bboxes=torch.tensor([[1.0, 2, 30, 40], [30, 10, 60, 60]]), labels=torch.tensor([3, 0])
    )
    found = InstanceData(bboxes=torch.rand(20, 4) * 50 + 20, scores=torch.randn(20, 5) * 4)
    if value is not None:
        found[part][:] = value
    ours, theirs = (
        package.HungarianAssigner(settings.match_costs) for package in (mmdet_fixes, task_modules)
    )
    arguments = (found, objects, {'img_shape': (64, 64)})
    assigned = ours.assign(*arguments).gt_inds
    assert (assigned > 0).sum() == 2
    if value is None:
        assert torch.equal(assigned, theirs.assign(*arguments).gt_inds)


# The settings of all assigners in configs, by their text, but matchers, which check-data names.
ASSIGNERS = {}
for part in iter_dicts([read(name).model for name in DETECTORS]):
    settings = part.get('assigner')
    if settings and 'Hungarian' not in settings.type:
        ASSIGNERS[str(settings)] = settings


@pytest.mark.parametrize('name', ASSIGNERS)
@given(st.integers(0, 2**32 - 1))
def test_background_on_ignored_objects_is_not_trained_and_all_else_is_as_in_mmdet(name, seed):
    init_default_scope('mmdet')
    rng = np.random.default_rng(seed)
    settings = ASSIGNERS[name]
    boxes, objects, ignored = (draw_boxes(rng, number) for number in rng.integers(0, 5, 3))
    predictions = InstanceData(bboxes=boxes, priors=boxes, scores=torch.zeros(len(boxes), 1))
    truth = InstanceData(bboxes=objects, labels=torch.zeros(len(objects), dtype=torch.long))
    theirs = {**settings, 'type': settings.type.replace('mmgcvit', 'mmdet')}
    theirs.pop('ignore_iof_thr')
    expected = TASK_UTILS.build(theirs).assign(predictions, truth)
    if len(boxes) and len(ignored):
        is_on = bbox_overlaps(boxes, ignored, 'iof').amax(1) > 0.5
        expected.gt_inds[is_on & (expected.gt_inds == 0)] = -1
    found = TASK_UTILS.build(settings).assign(predictions, truth, InstanceData(bboxes=ignored))
    if len(boxes) and (expected.gt_inds < 0).all():  # heads need a sample
        expected.gt_inds[found.gt_inds.argmax()] = 0
    assert torch.equal(found.gt_inds, expected.gt_inds)
    assert torch.equal(found.labels, expected.labels)


@pytest.mark.parametrize('name', ASSIGNERS)
def test_if_all_boxes_are_on_ignored_objects_the_one_least_inside_is_background(name):
    """Heads need a sample."""
    init_default_scope('mmdet')
    boxes = torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10], [1, 0, 11, 10]])
    predictions = InstanceData(bboxes=boxes, priors=boxes, scores=torch.zeros(3, 1))
    truth = InstanceData(bboxes=boxes[:0], labels=torch.zeros(0, dtype=torch.long))
    found = TASK_UTILS.build(ASSIGNERS[name]).assign(
        predictions, truth, InstanceData(bboxes=boxes[:1])
    )
    assert found.gt_inds.tolist() == [-1, 0, -1]


@pytest.mark.parametrize('name', ASSIGNERS)
def test_with_an_ignore_iof_thr_of_minus_one_ignored_objects_are_background_as_in_mmdet(name):
    init_default_scope('mmdet')
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    predictions = InstanceData(bboxes=boxes, priors=boxes, scores=torch.zeros(2, 1))
    truth = InstanceData(bboxes=boxes[:0], labels=torch.zeros(0, dtype=torch.long))
    assigner = TASK_UTILS.build({**ASSIGNERS[name], 'ignore_iof_thr': -1})
    found = assigner.assign(predictions, truth, InstanceData(bboxes=boxes[:1]))
    assert found.gt_inds.tolist() == [0, 0]
