"""The metric GroupAccuracy averages the pixel accuracy of classes and ignores unlabelled pixels."""

import torch

from mmgcvit.experiments.group_accuracy import GroupAccuracy


def test_group_accuracy_is_the_mean_over_classes_and_ignores_unlabelled_pixels():
    metric = GroupAccuracy({'ab': ('a', 'b'), 'c': ('c',)})
    metric.dataset_meta = {'classes': ('a', 'b', 'c')}
    gt = torch.tensor([[0, 0, 0, 0, 1, 2, 255, 255], [0, 0, 0, 0, 1, 2, 2, 2]])
    pred = torch.tensor([[0, 0, 0, 1, 1, 2, 0, 0], [0, 0, 0, 2, 0, 0, 0, 0]])
    samples = [
        {name: {'data': labels.view(1, 2, 4)} for name, labels in (('gt_sem_seg', g), ('pred_sem_seg', p))}
        for g, p in zip(gt, pred, strict=True)
    ]
    for sample in samples:
        metric.process(None, [sample])
    # Correct pixels: 6 of 8 of class a, 1 of 2 of b, 1 of 4 of c.
    assert metric.evaluate(size=2) == {'accuracy/ab': 62.5, 'accuracy/c': 25.0}
