"""Accuracy of groups of classes: of pixels by class, labelled ones alone."""

import torch

from mmgcvit.experiments.group_accuracy import GroupAccuracy


def test_a_group_has_the_mean_of_its_classes_over_all_images_and_what_is_unlabelled_counts_for_nothing():
    metric = GroupAccuracy({'ab': ('a', 'b'), 'c': ('c',)})
    metric.dataset_meta = {'classes': ('a', 'b', 'c')}
    truth = torch.tensor([[0, 0, 0, 0, 1, 2, 255, 255], [0, 0, 0, 0, 1, 2, 2, 2]])
    found = torch.tensor([[0, 0, 0, 1, 1, 2, 0, 0], [0, 0, 0, 2, 0, 0, 0, 0]])
    samples = [
        {name: {'data': image.view(1, 2, 4)} for name, image in (('gt_sem_seg', t), ('pred_sem_seg', f))}
        for t, f in zip(truth, found, strict=True)
    ]
    for sample in samples:
        metric.process(None, [sample])
    # a: 6 of 8, b: 1 of 2, c: 1 of 4.
    assert metric.evaluate(size=2) == {'accuracy/ab': 62.5, 'accuracy/c': 25.0}
