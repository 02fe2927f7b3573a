"""The confusion matrix has the counts of mmseg and of the annotation files; the worst images are
found and written.
"""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.commands.mistakes import load_split
from mmgcvit.datasets.loading import build_dataset
from mmgcvit.datasets.rules.coco import OTHER_ANNOTATIONS, OTHER_CATEGORIES
from mmgcvit.datasets.rules.images import OTHER_SIZE
from mmgcvit.errors import UserError
from mmgcvit.host.config import read_config
from mmgcvit.own.data.folders import scan_folder
from mmgcvit.own.judging import mistakes
from mmgcvit.own.judging.classification import ClassificationEvaluation
from mmgcvit.own.judging.counted import CountCollector
from mmgcvit.own.judging.detection import DetectionEvaluation
from mmgcvit.own.judging.evaluations import EVALUATION_BY_TASK
from mmgcvit.own.judging.matches import FALSE, MISSED, RIGHT, draw_matches
from mmgcvit.own.judging.mistakes import evaluate_images
from mmgcvit.own.judging.samples import Sample, load_sample
from mmgcvit.own.judging.scoring import make_empty_matrix, summarise_confusion_matrix
from mmgcvit.own.judging.segmentation import SegmentationEvaluation
from mmgcvit.own.judging.task_evaluation import name_distinctly
from mmgcvit.predict.model_files import ModelFiles
from mmgcvit.predict.results import Classification, make_segmentation

from ...datasets.checks.made import coco_content, config, write_coco
from .conftest import make_detections

CLASSES = ['cat', 'dog', 'cow']
LABELS = st.integers(0, len(CLASSES) - 1)
PIXELS = st.tuples(st.sampled_from([0, 1, 2, 255]), LABELS)  # 255 is not labelled
MAPS = st.lists(st.lists(PIXELS, min_size=4, max_size=4), min_size=1)


BOXES = [(20 + 60 * i, 40, 40 + 60 * i, 60) for i in range(4)]
# Objects and detections: one is right, one missed, one false, one confused.
OBJECTS = make_detections([(BOXES[0], 0, 1.0), (BOXES[1], 1, 1.0), (BOXES[3], 0, 1.0)], CLASSES)
FOUND = make_detections([(BOXES[0], 0, 0.9), (BOXES[2], 1, 0.8), (BOXES[3], 1, 0.7)], CLASSES)


def test_objects_are_scored_by_f1():
    """Also without objects and detections: test_detection_curves.py."""
    evaluation = DetectionEvaluation()
    score = evaluation.score_image(OBJECTS, FOUND, len(CLASSES))
    assert score.value == pytest.approx(1 / 3)
    expected = '1 of 3 right, 1 missed, 1 false, 1 × cat → dog'
    assert summarise_confusion_matrix(score.confusion_matrix, CLASSES) == expected
    assert evaluation.describe_score(score, CLASSES) == f'F1 0.33: {expected}'
    # The last row has the false detections, the last column the missed objects.
    expected = [[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert score.confusion_matrix.to_array().tolist() == expected


def test_ground_truth_of_another_task_is_named():
    segmentation = make_segmentation(np.zeros((2, 2), int), CLASSES)
    with pytest.raises(UserError, match=r'predicts Detections, .* is Segmentation'):
        DetectionEvaluation().score_image(segmentation, FOUND, len(CLASSES))


@pytest.mark.parametrize('with_masks', [False, True])
def test_right_false_and_missed_objects_have_a_colour_and_a_shape_each(with_masks):
    """A circle around a missed object leaves the sides of its box free. A mask is tinted."""
    masks = np.zeros((3, 100, 240), bool)
    masks[0, 45:55, 28:34] = True
    prediction = replace(FOUND, masks=masks if with_masks else None)
    image = np.full((100, 240, 3), 100, np.uint8)
    picture = draw_matches(image, OBJECTS, prediction, 1.0)[..., ::-1]
    for place, colour in enumerate((RIGHT, MISSED, FALSE)):
        _, columns = (picture == colour).all(-1).nonzero()
        assert min(columns) // 60 == place
    assert (picture[50, 20] == RIGHT).all()
    assert (picture[50, 80] == 100).all()
    assert (picture[50, 140] == FALSE).all()
    assert (picture[50, 200] == FALSE).all(), 'at an object, but of another class'
    assert (picture[50, 30, 2] > 120) == with_masks


@given(MAPS)
def test_pixels_are_counted_as_mmseg_counts_them(rows):
    from mmseg.evaluation import IoUMetric

    labels, predicted = np.moveaxis(np.array(rows, np.int32), -1, 0)
    maps = [make_segmentation(label_map, CLASSES) for label_map in (labels, predicted)]
    score = SegmentationEvaluation().score_image(*maps, len(CLASSES))
    tensors = [torch.from_numpy(label_map) for label_map in (predicted, labels)]
    counts = IoUMetric.intersect_and_union(*tensors, len(CLASSES), 255)
    intersection, union, num_predicted, num_labelled = (count.numpy() for count in counts)
    matrix = score.confusion_matrix
    sums = [matrix.right, matrix.ground_truths, matrix.predictions]
    np.testing.assert_array_equal(sums, [intersection, num_labelled, num_predicted])
    occurs = union > 0
    if occurs.any():
        assert score.value == pytest.approx((intersection[occurs] / union[occurs]).mean(), abs=1e-6)


def classify(*scores):
    label = int(np.argmax(scores))
    return Classification(label, 'abcd'[label], scores[label], np.array(scores, np.float32))


@pytest.fixture
def dataset(model):
    cfg = read_config(model.config)
    return build_dataset(cfg.val_dataloader.dataset, cfg.default_scope)


def test_the_worst_images_come_first_whatever_the_batch_size(model, dataset):
    found = evaluate_images(model, dataset, len(dataset), batch_size=2)
    scores = [image.score for image in found.worst]
    assert len(scores) == len(dataset)
    assert scores == sorted(scores)
    two = evaluate_images(model, dataset, 2, batch_size=3).worst
    assert [image.index for image in two] == [image.index for image in found.worst[:2]]


def test_wrong_images_come_before_right_ones_with_a_lower_score(monkeypatch):
    """A classifier may be right with a low score, where it has many classes."""
    truth = classify(1.0, 0.0, 0.0, 0.0)
    scores = [(0.3, 0.25, 0.25, 0.2), (0.4, 0.6, 0, 0), (0.9, 0.1, 0, 0), (0.1, 0.9, 0, 0)]
    predictions = [(Sample(Path('a'), None, truth), classify(*each)) for each in scores]
    monkeypatch.setattr(mistakes, 'predict_dataset', lambda *_: predictions)
    model = SimpleNamespace(task='classification', classes='abcd')
    worst = evaluate_images(model, None, 3).worst
    assert [(image.index, image.is_right) for image in worst] == [
        (3, False),
        (1, False),
        (0, True),
    ]


def test_the_ground_truth_has_no_mistakes(model, dataset, task):
    evaluation = EVALUATION_BY_TASK[task]
    for index in range(len(dataset)):
        sample = load_sample(dataset, index, model.classes, evaluation)
        np.testing.assert_array_equal(sample.image, cv2.imread(str(sample.path)))
        score = evaluation.score_image(sample.ground_truth, sample.ground_truth, len(model.classes))
        assert score.value == 1
        assert score.confusion_matrix.is_right


def test_the_command_writes_a_matrix_and_the_worst_images(call, work_dir, task, tmp_path):
    is_detector = task == 'detection'
    arguments = [work_dir, '--device', 'cpu', '--worst', 2]
    if is_detector:
        arguments += ['--score-thr', 0]
    if task == 'classification':
        # The fixture's checkpoint has other names than the demo's config, to tell them apart.
        cfg = read_config(work_dir / 'classify.py')
        classes = [f'digit {number}' for number in range(10)]
        cfg.val_dataloader.dataset.metainfo = {'classes': classes}
        cfg.dump(tmp_path / 'named.py')
        arguments[:1] = [tmp_path / 'named.py', work_dir / 'epoch_1.pth']
    code, printed = call('mistakes', *arguments)
    assert not code
    out = tmp_path / 'mistakes'
    content = json.loads((out / 'mistakes.json').read_text())
    counts = np.array(content['rows_are_ground_truth'])
    assert counts.shape == (len(content['classes']),) * 2
    assert f'{np.trace(counts):,} of {counts[:-1].sum():,} right' in printed
    for name in content['classes'][:-1]:
        assert re.search(rf'^ {name} +\d', printed, re.MULTILINE)
        assert ('mask_AP' in content['by_class'][name]) == is_detector
    assert ('returned as many detections as it can, 3, so' in printed) == is_detector
    assert cv2.imread(str(out / 'confusion.png')).shape[1] > 500
    assert (out / 'curves.png').is_file() == is_detector
    assert len(content['worst']) == 2
    for entry in content['worst']:
        assert cv2.imread(str(out / 'worst' / entry['drawn'])).shape[1] > 1500
    assert not scan_folder(out).files, 'what was written is not data'
    assert '--overwrite' in call('mistakes', *arguments, '--out-dir', out.name)[1]


def test_scores_of_classes_with_one_name_are_reported_by_label():
    """ImageNet has two classes crane."""
    classes = ['crane', 'dog', 'crane', 'crane (0)']
    matrix = make_empty_matrix(len(classes))
    matrix.matched[[0, 1, 2, 3], [0, 1, 1, 3]] = 4, 3, 2, 1
    scores = replace(CountCollector(len(classes)).collect(), confusion_matrix=matrix)
    reports = ClassificationEvaluation().report_classes(scores, classes)
    assert {report.name: (report.ground_truths, report.recall) for report in reports} == {
        'crane (0) (0)': (4, 1.0),
        'dog': (3, 1.0),
        'crane (2)': (2, 0.0),
        'crane (0) (3)': (1, 1.0),
    }


@given(st.lists(st.text(st.sampled_from('a (0)1'), max_size=6)))
def test_names_of_classes_are_made_distinct_and_stay_where_they_are(classes):
    names = name_distinctly(classes)
    assert len({*names}) == len(classes)
    for name, distinct in zip(classes, names, strict=True):
        assert distinct.startswith(name)
        assert distinct == name or classes.count(name) > 1 or name.endswith(')')


def test_the_images_of_mistakes_are_checked_as_those_of_a_test(tmp_path):
    """Categories in another order, other sizes than annotated, and an evaluator's annotations."""
    dataset = write_coco(tmp_path)
    content = coco_content()
    content['images'][0]['width'] *= 2
    content['categories'].reverse()
    (tmp_path / 'train.json').write_text(json.dumps(content))
    metric = {'type': 'CocoMetric', 'ann_file': 'other.json'}
    for split in ('val', 'test'):
        cfg = config(dataset, f'{split}_dataloader', **{f'{split}_evaluator': metric})
        files = ModelFiles(tmp_path / 'config.py', 'x.pth', cfg)
        with pytest.raises(UserError) as error:
            load_split(files, split, ())
        for rule in (OTHER_CATEGORIES, OTHER_SIZE, OTHER_ANNOTATIONS):
            assert rule.problem in str(error.value)


@pytest.mark.parametrize('command', ['mistakes', 'test'])
def test_commands_compare_the_data_with_the_checkpoint(call, work_dirs, command):
    """The demo's config has other class names than the fixture's checkpoint."""
    run = work_dirs['classification']
    printed = call(command, run / 'classify.py', run / 'epoch_1.pth')[1]
    assert 'was trained on the 10 classes digit 0, ' in printed
