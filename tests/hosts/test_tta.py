"""Test-time augmentation merges instances with their masks, mirrored views put right."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import nn

from mmgcvit.hosts.mmdet import InstanceTTAModel

SIZE = (20, 30)


class NoModel(nn.Module):
    """Merging calls no model."""

    def test_step(self, data):
        raise AssertionError('merging must not call the model')


def view(boxes, scores, flip=None, masks=True):
    """One view of an image in which each box is filled with its mask."""
    instances = InstanceData(bboxes=torch.tensor(boxes), scores=torch.tensor(scores))
    instances.labels = torch.zeros(len(boxes), dtype=torch.long)
    if masks:
        instances.masks = torch.zeros(len(boxes), *SIZE, dtype=torch.bool)
        for mask, (left, top, right, bottom) in zip(instances.masks, boxes, strict=True):
            mask[int(top) : int(bottom), int(left) : int(right)] = True
    sample = DetDataSample(pred_instances=instances)
    sample.set_metainfo({'ori_shape': SIZE, 'flip': flip is not None, 'flip_direction': flip})
    return sample


@pytest.fixture
def merge():
    tta = InstanceTTAModel(module=NoModel(), tta_cfg={'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 2})
    return lambda views: tta.merge_preds([views])[0].pred_instances


@pytest.mark.parametrize(
    ('flip', 'mirrored'),
    [
        ('horizontal', [20.0, 3.0, 28.0, 9.0]),
        ('vertical', [2.0, 11.0, 10.0, 17.0]),
        ('diagonal', [20.0, 11.0, 28.0, 17.0]),
    ],
)
def test_the_same_object_in_a_mirrored_view_is_found_once_with_the_better_views_mask(merge, flip, mirrored):
    box = [2.0, 3.0, 10.0, 9.0]
    found = merge([view([box], [0.6]), view([mirrored], [0.9], flip)])
    assert found.bboxes.tolist() == [box]
    assert found.scores.tolist() == pytest.approx([0.9])
    assert torch.equal(found.masks, view([box], [1.0]).pred_instances.masks)


def test_masks_follow_their_boxes_by_score_and_the_rest_is_cut(merge):
    boxes = [[0.0, 0.0, 5.0, 5.0], [10.0, 0.0, 15.0, 5.0], [20.0, 10.0, 28.0, 18.0]]
    found = merge([view(boxes[:2], [0.2, 0.5]), view(boxes[2:], [0.7])])
    assert found.bboxes.tolist() == [boxes[2], boxes[1]]
    assert torch.equal(found.masks, view([boxes[2], boxes[1]], [1.0, 1.0]).pred_instances.masks)


def test_views_without_instances_and_models_without_masks(merge):
    empty = view([], [], masks=False)
    empty.pred_instances.bboxes = torch.zeros(0, 4)
    assert len(merge([empty, empty])) == 0
    assert len(merge([view([[0.0, 0.0, 5.0, 5.0]], [0.5], masks=False)])) == 1
