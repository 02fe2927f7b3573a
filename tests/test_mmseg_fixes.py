"""Crops without labels have no loss, and classes that the images lack no score."""

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric as MMSegIoUMetric
from mmseg.models.losses import LovaszLoss as MMSegLovaszLoss

from mmgcvit.mmseg_fixes import IoUMetric, LovaszLoss


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


@pytest.mark.parametrize('metric', ['mIoU', 'mDice', 'mFscore'])
def test_a_class_that_the_images_lack_is_not_in_the_mean(metric):
    """It is predicted for three pixels."""
    intersect, union = torch.tensor([8.0, 4, 0]), torch.tensor([10.0, 7, 3])
    predicted, labelled = torch.tensor([8.0, 5, 3]), torch.tensor([10.0, 6, 0])
    areas = (intersect, union, predicted, labelled, [metric], None, 1)
    found = IoUMetric.total_area_to_metrics(*areas)
    theirs = MMSegIoUMetric.total_area_to_metrics(*areas)
    assert found['aAcc'] == theirs['aAcc']
    for name in found.keys() - {'aAcc'}:
        np.testing.assert_array_equal(found[name], [*theirs[name][:2], np.nan])
