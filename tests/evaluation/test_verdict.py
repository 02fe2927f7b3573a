"""A run of ``train --data`` ends with its score, whether it is good, and reasons that its data and
scores show.
"""

import pytest
import torch

from mmgcvit.datasets.advice import find_weaknesses
from mmgcvit.datasets.records import DatasetInfo, LabelSplit
from mmgcvit.evaluation.mistakes import judge_run


@pytest.mark.parametrize(
    ('scope', 'percent', 'best', 'expected'),
    [
        ('mmseg', 80, 'iter_9', 'validation images: mIoU 0.800\ngood: mIoU is at least 0.8'),
        (
            'mmseg',
            50,
            'iter_9',
            'fair: mIoU is 0.5 to 0.8. Likely reasons:\n  few images\n  the last validation was',
        ),
        (
            'mmpretrain',
            49.9,
            'iter_6',
            'poor: accuracy is under 0.5. Likely reasons:\n  few images',
        ),
        (
            'mmpretrain',
            60,
            'iter_6',
            'poor: the commonest class alone gives 0.600. Likely reasons:\n  few',
        ),
        ('mmpretrain', 79, 'iter_6', 'fair: accuracy is 0.6 to 0.8. Likely reasons:\n  few images'),
        ('mmseg', 30, 'val_loss_iter_9', 'validation images: val_loss 30'),
        ('mmpretrain', None, 'iter_9', 'the validation images give no score'),
    ],
)
def test_the_score_is_judged_by_stated_bounds_with_reasons(
    scope, percent, best, expected, tmp_path
):
    started_with = {
        'weaknesses': ['few images'],
        'majority': 0.6 if scope == 'mmpretrain' else None,
    }
    cfg = {'default_scope': scope, 'train_cfg': {'max_iters': 9}, 'started_with': started_with}
    (tmp_path / 'a.py').write_text('\n'.join(f'{name} = {value!r}' for name, value in cfg.items()))
    content = {
        'state_dict': {'a': torch.zeros(1)},
        'message_hub': {'runtime_info': {'best_score': percent}},
    }
    content['meta'] = {'epoch': 0, 'iter': int(best[-1])}
    torch.save(content, tmp_path / f'best_{best}.pth')
    verdict = judge_run(tmp_path)
    assert expected in verdict
    assert ('last validation' in verdict) == (best == 'iter_9' and percent == 50)


@pytest.mark.parametrize(
    ('counts', 'small', 'words'),
    [
        ((46, 4), False, ['only cat; add images of']),
        ((45, 5), False, []),
        ((25, 24), True, ['only 49 training images', 'too small']),
        ((60,), False, []),
    ],
)
def test_few_images_small_objects_and_a_dominating_class_are_reasons(
    counts, small, words, tmp_path
):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    names = [f'{i}.png' for i in range(len(labels))]
    classes = ('cat', 'dog')[: len(counts)]
    indices = [frozenset([label]) for label in labels]
    train = LabelSplit(tmp_path, names, labels, indices, classes)
    dataset = DatasetInfo(tmp_path, 'class folders', ('classes',), classes, {'train': train})
    reasons = find_weaknesses(dataset, small)
    assert len(reasons) == len(words)
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))
