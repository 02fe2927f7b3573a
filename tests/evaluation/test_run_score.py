"""A run of ``train --data`` ends with its score, whether it is good, and reasons that its data and
scores show.
"""

import shutil

import pytest
import torch

from mmgcvit.datasets.advice import find_weaknesses
from mmgcvit.datasets.records import DatasetInfo, LabelSplit
from mmgcvit.errors import UserError
from mmgcvit.evaluation.run_score import judge_run

REASONS = 'Likely reasons:\n  few images'


@pytest.mark.parametrize(
    ('scope', 'percent', 'best', 'expected'),
    [
        ('mmseg', 80, 'iter_9', 'validation images: mIoU 0.800\ngood: mIoU is at least 0.8'),
        ('mmseg', 50, 'iter_9', f'fair: mIoU is 0.5 to 0.8. {REASONS}\n  the last validation was'),
        ('mmpretrain', 49.9, 'iter_6', f'poor: accuracy is under 0.5. {REASONS}\n  see'),
        ('mmpretrain', 60, 'iter_6', f'poor: the commonest class alone gives 0.600. {REASONS}'),
        ('mmpretrain', 79, 'iter_6', f'fair: accuracy is 0.6 to 0.8. {REASONS}\n  see'),
        ('mmseg', 30, 'val_loss_iter_9', 'validation images: val_loss 30'),
        ('mmpretrain', None, 'iter_9', 'the validation images give no score'),
    ],
)
def test_the_score_is_judged_by_stated_bounds_with_reasons(
    scope, percent, best, expected, tmp_path
):
    majority = 0.6 if scope == 'mmpretrain' else None
    started_with = {'weaknesses': ['few images'], 'majority': majority}
    (tmp_path / 'a.py').write_text(
        f'default_scope = {scope!r}\ntrain_cfg = dict(max_iters=9)\n{started_with = }'
    )
    content = {
        'state_dict': {'a': torch.zeros(1)},
        'message_hub': {'runtime_info': {'best_score': percent}},
        'meta': {'epoch': 0, 'iter': int(best[-1])},
    }
    torch.save(content, tmp_path / f'best_{best}.pth')
    assert expected in judge_run(tmp_path)


def test_a_detector_is_judged_by_its_detections_in_the_validation_images(
    work_dirs, digits, tmp_path
):
    """It has random weights. An image that cannot be read ends in a sentence."""
    run = shutil.copytree(work_dirs['detection'], tmp_path / 'run')
    text = judge_run(run)
    assert text.startswith('4 validation images: no confidence threshold finds the objects')
    assert 'poor: F1 is under 0.5' in text
    data = shutil.copytree(digits, tmp_path / 'digits')
    config = run / 'detect.py'
    config.write_text(config.read_text().replace(str(digits), str(data)))
    min((data / 'coco' / 'val2017').iterdir()).write_bytes(b'')
    with pytest.raises(UserError, match=r'0001\.jpg cannot be loaded'):
        judge_run(run)


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
    for word, reason in zip(words, reasons, strict=True):
        assert word in reason
