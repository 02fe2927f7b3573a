"""The confusion matrix has the counts of mmseg and of the annotation files; the worst images are
found and written.
"""

import json
import re
from collections import Counter
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import precision_recall_fscore_support

from mmgcvit.config import read_config
from mmgcvit.datasets.layouts import list_files
from mmgcvit.evaluation.grids import build_dataset, load_sample
from mmgcvit.evaluation.mistakes import (
    Mistakes,
    compute_confusion_matrix,
    evaluate_images,
    score_classes,
    score_image,
    summarise_confusion_matrix,
)
from mmgcvit.inference.results import Segmentation

from .conftest import TASKS, make_detections

CLASSES = ['cat', 'dog', 'cow']
LABELS = st.integers(0, len(CLASSES) - 1)
MAPS = st.lists(
    st.lists(st.tuples(st.sampled_from([0, 1, 2, 255]), LABELS), min_size=4, max_size=4), min_size=1
)


@pytest.mark.parametrize(
    ('objects', 'predicted', 'expected', 'text'),
    [
        ([], [], 1.0, '0 of 0 right'),
        ([0], [], 0.0, '0 of 1 right; 1 × cat → background'),
        ([0], [1], 0.0, '0 of 1 right; 1 × cat → dog'),
        ([0], [0, 0], 2 / 3, '1 of 1 right; 1 × background → cat'),
    ],
)
def test_objects_are_scored_by_f1(objects, predicted, expected, text):
    found = [[((0, 0, 4, 4), label, 1.0) for label in labels] for labels in (objects, predicted)]
    score, counts = score_image(*(make_detections(boxes, CLASSES) for boxes in found), CLASSES)
    assert (score, summarise_confusion_matrix(counts, CLASSES)) == (pytest.approx(expected), text)


@given(MAPS)
def test_pixels_are_counted_as_mmseg_counts_them(rows):
    from mmseg.evaluation import IoUMetric

    truth, found = np.moveaxis(np.array(rows, np.int32), -1, 0)
    score, counts = score_image(
        *(Segmentation(labels, None, None, None) for labels in (truth, found)), CLASSES
    )
    overlap, union, predicted, there = IoUMetric.intersect_and_union(
        torch.from_numpy(found), torch.from_numpy(truth), len(CLASSES), 255
    )
    assert np.diag(counts)[:-1].tolist() == overlap.tolist()
    assert counts.sum(1)[:-1].tolist() == there.tolist()
    assert counts.sum(0)[:-1].tolist() == predicted.tolist()
    if union.sum():
        np.testing.assert_allclose(score, (overlap / union).nanmean(), atol=1e-6)


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1))
def test_classes_are_scored_as_by_sklearn(pairs):
    labels, predicted = np.array(pairs).T
    counts = compute_confusion_matrix(labels, predicted, len(CLASSES))
    scores = score_classes(
        Mistakes(counts, [], None), SimpleNamespace(classes=CLASSES, task='classification')
    )
    expected = precision_recall_fscore_support(
        labels, predicted, labels=range(len(CLASSES)), zero_division=0
    )
    keys = ('precision', 'recall', 'f1', 'ground_truths')
    computed = np.array([[row[key] for key in keys] for row in scores.values()]).T
    np.testing.assert_allclose(computed, expected, atol=1e-4)


def count_in_files(digits, task):
    """Count the ground truth of each class without OpenMMLab packages."""
    if task == 'detection':
        content = json.loads(
            (digits / 'coco' / 'annotations' / 'instances_val2017.json').read_text()
        )
        numbers = {category['id']: number for number, category in enumerate(content['categories'])}
        return Counter(numbers[each['category_id']] for each in content['annotations'])
    if task == 'segmentation':
        maps = sorted((digits / 'ADEChallengeData2016/annotations/validation').iterdir())
        pixels = np.concatenate([np.asarray(Image.open(path)).reshape(-1) for path in maps])
        return Counter((pixels[pixels > 0] - 1).tolist())
    return Counter(range(10))


def test_the_matrix_counts_what_the_files_hold_and_the_worst_images_come_first(
    model, work_dir, digits, task
):
    dataset = build_dataset(
        read_config(work_dir / f'{TASKS[task]}.py').val_dataloader.dataset, model.scope
    )
    mistakes, two = (
        evaluate_images(model, dataset, len(dataset), 2),
        evaluate_images(model, dataset, 2, 3).worst,
    )
    counts, worst = mistakes.confusion_matrix, mistakes.worst
    rows = {row: count for row, count in enumerate(counts[:-1].sum(1).tolist()) if count}
    assert rows == count_in_files(digits, task)
    scores = [image.score for image in worst]
    assert (len(scores), scores) == (len(dataset), sorted(scores))
    assert [image.index for image in two] == [image.index for image in worst[:2]]
    for number in range(len(dataset)):
        path, image, truth = load_sample(dataset, number, model.classes)
        np.testing.assert_array_equal(image, cv2.imread(str(path)))
        score, counts = score_image(truth, truth, model.classes)
        assert (score, counts.sum()) == (1.0, counts.trace()), (
            'the ground truth itself has no mistakes'
        )


def test_the_command_writes_a_matrix_and_the_worst_images(call, work_dir, task, tmp_path):
    arguments = [work_dir, '--device', 'cpu', *(['--score-thr', 0] if task == 'detection' else [])]
    if task == 'classification':
        # The fixture's checkpoint has other names than the demo's config, to tell them apart.
        cfg = read_config(work_dir / f'{TASKS[task]}.py')
        cfg.val_dataloader.dataset.metainfo = {
            'classes': tuple(f'digit {number}' for number in range(10))
        }
        cfg.dump(tmp_path / 'named.py')
        arguments[:1] = [tmp_path / 'named.py', work_dir / 'epoch_1.pth']
    code, printed = call('mistakes', *arguments, '--worst', 2)
    assert not code
    out = tmp_path / 'mistakes'
    content = json.loads((out / 'mistakes.json').read_text())
    counts = np.array(content['rows_are_ground_truth'])
    assert counts.shape == (len(content['classes']),) * 2
    assert f'{np.trace(counts):,} of {counts[:-1].sum():,} right' in printed
    assert cv2.imread(str(out / 'confusion.png')).shape[1] > 500
    assert len(content['worst']) == 2
    assert ('mask_AP' in content['by_class'][content['classes'][0]]) == (task == 'detection')
    assert (out / 'curves.png').is_file() == (task == 'detection')
    assert not list_files(out).files, 'what was written is not data'
    assert all(re.search(rf'│ {name} +│', printed) for name in content['classes'][:-1])
    for entry in content['worst']:
        assert cv2.imread(str(out / 'worst' / entry['drawn'])).shape[1] > 1500
    assert '--overwrite' in call('mistakes', *arguments, '--worst', 1, '--out-dir', out.name)[1]


def test_commands_compare_the_data_with_the_checkpoint(call, work_dirs):
    """The demo's config has other class names than the fixture's checkpoint."""
    run = work_dirs['classification']
    for command in ('mistakes', 'test'):
        assert (
            'was trained on the 10 classes digit 0, '
            in call(command, run / 'classify.py', run / 'epoch_1.pth')[1]
        )
