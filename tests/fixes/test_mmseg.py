"""Crops without labels have no loss, classes that the images lack no score, and numbers the labels
that mmseg gives them.
"""

import numpy as np
import pytest
import torch
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.evaluation import IoUMetric as MMSegIoUMetric
from mmseg.models.losses import LovaszLoss as MMSegLovaszLoss
from PIL import Image

from mmgcvit.datasets.label_maps import list_labels
from mmgcvit.fixes.mmseg import IoUMetric, LovaszLoss


@pytest.mark.parametrize('num_labelled', [0, 1, 2, 16])
def test_lovasz_loss_is_zero_without_labels_and_mmsegs_otherwise(num_labelled):
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    labels = torch.full((16,), 255)
    labels[:num_labelled] = torch.arange(num_labelled) % 3
    labels = labels.reshape(1, 4, 4)
    loss = LovaszLoss(reduction='none')(logits, labels, ignore_index=255)
    (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
    assert bool(gradient.any()) == (num_labelled > 1)
    expected = torch.zeros(())
    if num_labelled > 1:
        expected = MMSegLovaszLoss(reduction='none')(logits, labels, ignore_index=255)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize('reduce_zero_label', [False, True])
def test_labels_of_some_classes_are_those_that_mmseg_loads(reduce_zero_label, tmp_path):
    """The numbers are shifted first, and then mapped."""
    info = {'seg_map_path': str(tmp_path / 'x.png'), 'reduce_zero_label': reduce_zero_label}
    info |= {'label_map': {0: 255, 1: 0, 2: 1, 3: 255}, 'seg_fields': []}
    Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2)).save(info['seg_map_path'])
    loaded = LoadAnnotations().transform(dict(info))['gt_seg_map']
    assert list_labels(info) & {0, 1} == {*np.unique(loaded).tolist()} & {0, 1}


@pytest.mark.parametrize('metric', ['mIoU', 'mDice', 'mFscore'])
def test_a_class_that_the_images_lack_is_not_in_the_mean(metric):
    """It is predicted for three pixels."""
    intersect = torch.tensor([8.0, 4, 0])
    union = torch.tensor([10.0, 7, 3])
    predicted = torch.tensor([8.0, 5, 3])
    labelled = torch.tensor([10.0, 6, 0])
    areas = (intersect, union, predicted, labelled, [metric], None, 1)
    found = IoUMetric.total_area_to_metrics(*areas)
    theirs = MMSegIoUMetric.total_area_to_metrics(*areas)
    assert found['aAcc'] == theirs['aAcc']
    for name in found.keys() - {'aAcc'}:
        np.testing.assert_array_equal(found[name], [*theirs[name][:2], np.nan])
