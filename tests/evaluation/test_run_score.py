"""A run of ``train --data`` ends with its score, whether it is good, and reasons that its data and
scores show.
"""

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mmgcvit.datasets.records import ClassImage, ClassSplit, DatasetInfo
from mmgcvit.errors import UserError
from mmgcvit.evaluation.detection_curves import Curve, DetectionCurves
from mmgcvit.evaluation.mistakes import Mistakes
from mmgcvit.evaluation.run_score import (
    ClassScore,
    format_mean,
    format_verdict,
    judge_run,
    list_class_scores,
)
from mmgcvit.evaluation.scoring import make_empty_matrix
from mmgcvit.own_data.advice import find_weaknesses
from mmgcvit.runs import RunFolder

CLASSES = ['background', 'cat', 'dog', 'cow']


def make_mistakes(confusion_matrix, num_images, curves=None):
    return Mistakes(
        confusion_matrix=confusion_matrix,
        worst=[],
        curves=curves,
        num_images=np.array(num_images),
        lowest_scores={},
    )


def judge(work_dir):
    run = RunFolder(work_dir)
    return judge_run(run, run.config)


@pytest.mark.parametrize(
    ('scores', 'expected'),
    [
        (
            [0.9, 0.8],
            'lowest F1: 0.80 for b (7 images)\ngood: F1 of every class with a score is at least 0.8',
        ),
        ([0.6, 0.9], 'lowest F1: 0.60 for a (7 images)\nfair: F1 is under 0.8 for a. Likely'),
        ([0.6, 0.4], 'lowest F1: 0.40 for b (7 images)\npoor: F1 is under 0.5 for b. Likely'),
    ],
)
def test_a_model_is_as_good_as_its_worst_class(scores, expected):
    rows = []
    for score, name in zip(scores, 'ab', strict=True):
        rows.append(ClassScore(score=score, name=name, basis='7 images'))
    text = format_verdict(rows, 'F1', ['few images', 'see also'])
    assert text.startswith(expected)
    assert text.endswith(' reasons:\n  few images\n  see also') == ('good' not in text)


@pytest.mark.parametrize(
    ('task', 'expected', 'scored'),
    [
        (
            'segmentation',
            "mIoU 0.667 without the background, which the log's mIoU counts",
            ['cat', 'cow'],
        ),
        ('classification', 'accuracy 0.975', ['background', 'cat', 'cow']),
    ],
)
def test_absent_classes_and_the_background_do_not_count(task, expected, scored):
    """The dog has no ground truth and one false prediction."""
    matrix = make_empty_matrix(len(CLASSES))
    matrix.matched[[0, 0, 1, 1, 3], [0, 2, 1, 0, 3]] = 190, 1, 2, 4, 6
    mistakes = make_mistakes(matrix, num_images=[9, 2, 0, 1])
    model = SimpleNamespace(task=task, classes=CLASSES)
    scores = list_class_scores(mistakes, model)
    assert format_mean(scores, mistakes, model) == expected
    assert [entry.name for entry in scores] == scored
    assert {entry.basis for entry in scores} >= {'2 images', '1 image'}


def test_the_background_is_known_by_its_name_at_any_place():
    classes = ['cat', 'background', 'cow']
    matrix = make_empty_matrix(3)
    matrix.matched[[0, 1, 2], [0, 1, 2]] = 2, 190, 6
    mistakes = make_mistakes(matrix, num_images=[2, 9, 1])
    model = SimpleNamespace(task='segmentation', classes=classes)
    scores = list_class_scores(mistakes, model)
    assert [entry.name for entry in scores] == ['cat', 'cow']
    assert 'without the background' in format_mean(scores, mistakes, model)


def test_each_class_of_a_detector_is_scored_at_the_common_threshold():
    curve = Curve(*np.array([[0.9, 0.8, 0.3], [1, 2, 3], [1, 2, 2]]), 2)
    rare = Curve(*np.array([[0.4], [1], [1]]), 1)
    curves = DetectionCurves(curve, [curve, rare, replace(rare, num_objects=0)], {})
    model = SimpleNamespace(task='detection', classes=CLASSES[1:])
    matrix = make_empty_matrix(3)
    matrix.missed[:2] = 2, 1
    mistakes = make_mistakes(matrix, num_images=[2, 1, 0], curves=curves)
    cat, dog = list_class_scores(mistakes, model)
    assert cat == ClassScore(score=1.0, name='cat', basis='2 objects in 2 images')
    assert dog == ClassScore(score=0.0, name='dog', basis='1 object in 1 image')


@pytest.mark.parametrize(
    ('task', 'expected'), [('segmentation', 'mIoU 0.'), ('classification', 'accuracy 0.')]
)
def test_other_models_are_judged_by_their_validation_images(task, expected, work_dirs):
    text = judge(work_dirs[task])
    assert re.match(rf'\d+ validation images: {expected}\d+.*\nlowest .*\npoor: ', text)


def test_a_detector_is_judged_by_its_detections_in_the_validation_images(
    work_dirs, digits, tmp_path
):
    """It has random weights. An image that cannot be read ends in a sentence, and so do images
    without objects, for which no threshold is chosen either.
    """
    run = shutil.copytree(work_dirs['detection'], tmp_path / 'run')
    text = judge(run)
    assert text.startswith('4 validation images: no confidence threshold finds the objects')
    assert 'poor: F1 is under 0.5 for' in text
    data = shutil.copytree(digits, tmp_path / 'digits')
    config = run / 'detect.py'
    config.write_text(config.read_text().replace(str(digits), str(data)))
    annotations = data / 'coco' / 'annotations' / 'instances_val2017.json'
    annotations.write_text(json.dumps(json.loads(annotations.read_text()) | {'annotations': []}))
    assert judge(run).endswith('they have no objects or labels, so they give no score')
    assert not (run / 'score_thr.json').exists()
    min((data / 'coco' / 'val2017').iterdir()).write_bytes(b'')
    with pytest.raises(UserError, match=r'0001\.jpg cannot be loaded'):
        judge(run)


@pytest.mark.parametrize(
    ('counts', 'small', 'words'),
    [
        ((46, 4), '', ['only cat; add images of']),
        ((45, 5), '', []),
        ((25, 24), '--tiles', ['only 49 training images', 'hard to see']),
        ((60,), '', []),
    ],
)
def test_few_images_small_objects_and_a_dominating_class_are_reasons(
    counts, small, words, tmp_path
):
    classes = ('cat', 'dog')[: len(counts)]
    images = []
    for label, count in enumerate(counts):
        images += count * [ClassImage('a.png', label, classes[label])]
    train = ClassSplit(tmp_path, images)
    dataset = DatasetInfo(tmp_path, 'class folders', ('classes',), classes, {'train': train})
    for word, reason in zip(words, find_weaknesses(dataset, small), strict=True):
        assert word in reason
