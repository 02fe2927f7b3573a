"""A run of ``train --data`` ends with its score, whether it is good, and reasons that its data and
scores show.
"""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from mmengine.config import Config

from mmgcvit.checkpoints.safe_loading import Checkpoint
from mmgcvit.errors import UserError
from mmgcvit.own.data.records import ClassImage, ClassSplit, DatasetInfo
from mmgcvit.own.judging.classification import ClassificationEvaluation
from mmgcvit.own.judging.counted import CountCollector
from mmgcvit.own.judging.detection import DetectionEvaluation, DetectionScores
from mmgcvit.own.judging.detection_curves import (
    AveragePrecision,
    ClassMatches,
    Curve,
    DetectionCurves,
)
from mmgcvit.own.judging.run_score import find_reasons, format_selection, judge_run
from mmgcvit.own.judging.scoring import ImageScore, make_empty_matrix
from mmgcvit.own.judging.segmentation import SegmentationEvaluation
from mmgcvit.own.judging.verdict import ClassScore, ThresholdChoice, format_verdict
from mmgcvit.own.training.advice import find_weaknesses
from mmgcvit.predict.thresholds import ScoreThresholds
from mmgcvit.runs.folder import RunFolder

CLASSES = ['background', 'cat', 'dog', 'cow']


def collect_counts(matrix, images_by_class):
    """Return the scores of images whose counts, as if in one image, are those of a matrix."""
    collector = CountCollector(len(images_by_class))
    collector.add(None, None, None, ImageScore(0.0, matrix))
    return replace(collector.collect(), images_by_class=np.array(images_by_class))


def judge(work_dir):
    run = RunFolder(work_dir)
    return judge_run(run, run.config)


def make_score(score, name, low=0.0, size=7, **values):
    return ClassScore(
        score=score,
        low=low,
        high=1.0,
        name=name,
        basis='7 images',
        num_images=size,
        size=size,
        **values,
    )


INTERVAL = '95 % interval 0.00 to 1.00; 7 images'


@pytest.mark.parametrize(
    ('scores', 'expected'),
    [
        ([0.6, 0.9], f'lowest F1: 0.60 for a ({INTERVAL})\nfair: F1 is under 0.8 for 1 of 2 '),
        ([0.6, 0.4], f'lowest F1: 0.40 for b ({INTERVAL})\npoor: F1 is under 0.5 for 1 of 2 '),
        ([0.5, 0.8], f'lowest F1: 0.50 for a ({INTERVAL})\nfair: F1 is under 0.8 for 1 of 2 '),
    ],
)
def test_a_model_is_as_good_as_its_worst_class(scores, expected):
    rows = [make_score(score, name) for score, name in zip(scores, 'ab', strict=True)]
    text = format_verdict(rows, 'F1', ['few images', 'see also'])
    assert text.startswith(expected)
    assert text.endswith(':\n  few images\n  see also')


def test_good_is_said_only_if_the_lower_end_of_every_interval_is():
    certain = make_score(0.9, 'a', low=0.8)
    assert format_verdict([certain, certain], 'F1', []).splitlines()[1] == (
        'good: F1 of every class with a score is at least 0.8, also the lower end of its 95 % '
        'interval'
    )
    few = [certain, make_score(1.0, 'b', low=0.7, size=5), make_score(0.8, 'c', low=0.6, size=9)]
    assert format_verdict(few[:2], 'F1', []).splitlines()[1] == (
        'good so far: 5 images a class. F1 of every class with a score is at least 0.8, but the '
        '95 % interval begins lower for b (from 0.70). More validation images would tell'
    )
    text = format_verdict(few, 'F1', ['few images'])
    assert 'good so far: 5 to 9 images a class' in text
    assert 'lower for c (from 0.60), b (from 0.70)' in text
    assert 'few images' not in text


def test_all_poor_classes_are_listed_the_largest_first():
    rows = [make_score(0.4 - 0.01 * size, f'n{size}', size=size) for size in (3, 30, 12, 7, 1)]
    text = format_verdict([*rows, make_score(0.6, 'fair')], 'F1', [])
    lines = text.splitlines()[2:7]
    assert [line.split()[0] for line in lines] == ['n30', 'n12', 'n7', 'n3', 'n1']


def test_classes_that_the_threshold_hides_are_named_with_the_one_that_finds_them():
    """Then the data and the training are no reasons."""
    hidden = make_score(0.0, 'C clef', threshold=ThresholdChoice(0.68, 0.354, 1.0))
    text = format_verdict([hidden], 'F1', ['train longer'])
    assert text.endswith("C clef: F1 0.00 at 0.68, and 1.00 with --score-thr 'C clef=0.354'")
    poor = make_score(0.3, 'flag', threshold=ThresholdChoice(0.68, 0.6, 0.4))
    text = format_verdict([hidden, poor], 'F1', ['train longer'])
    assert 'flag: F1' not in text
    assert text.endswith('train longer')


@pytest.mark.parametrize(
    ('score', 'best', 'is_hidden'),
    [
        (0.79, 0.8, True),
        (0.79, 0.79, False),
        (0.49, 0.5, True),
        (0.5, 0.79, False),
        (0.8, 1.0, False),
    ],
)
def test_a_class_is_hidden_if_its_best_threshold_gives_it_a_better_word(score, best, is_hidden):
    entry = make_score(score, 'a', threshold=ThresholdChoice(0.5, 0.2, best))
    assert entry.is_hidden == is_hidden


@pytest.mark.parametrize(
    ('name', 'thresholds', 'expected'),
    [
        ('epoch_2.pth', None, []),
        ('best_mIoU.pth', None, ['the best checkpoint was']),
        ('epoch_2.pth', ScoreThresholds(0.5), ['the thresholds were']),
        ('best_mAP.pth', ScoreThresholds(0.5), ['the best checkpoint and the thresholds were']),
    ],
)
def test_what_was_chosen_on_the_images_of_the_score_is_named(name, thresholds, expected):
    checkpoint = Checkpoint(f'work_dirs/{name}', {}, None, is_resumed=False)
    end = ' chosen on the same images, so scores of other images may be lower'
    assert format_selection(checkpoint, thresholds) == [text + end for text in expected]


@pytest.mark.parametrize(
    ('name', 'epoch', 'is_longer'),
    [('best_mAP.pth', 12, True), ('best_mAP.pth', 11, False), ('epoch_12.pth', 12, False)],
)
def test_longer_training_is_advised_if_the_last_checkpoint_was_the_best(name, epoch, is_longer):
    """The last one is also taken where none was scored."""
    cfg = Config({'train_cfg': {'max_epochs': 12}})
    content = {'meta': {'epoch': epoch, 'iter': 100}}
    reasons = find_reasons(cfg, Checkpoint(name, content, None, is_resumed=False))
    assert ('train longer' in reasons[0]) == is_longer


@pytest.mark.parametrize(
    ('evaluation', 'expected', 'scored'),
    [
        (
            SegmentationEvaluation(),
            "mIoU 0.667 without the background, which the log's mIoU counts",
            ['cat', 'cow'],
        ),
        (
            ClassificationEvaluation(),
            'accuracy 0.975 (95 % interval 0.94 to 1.00)',
            ['background', 'cat', 'cow'],
        ),
    ],
)
def test_absent_classes_and_the_background_do_not_count(evaluation, expected, scored):
    """The dog has no ground truth and one false prediction."""
    matrix = make_empty_matrix(len(CLASSES))
    matrix.matched[[0, 0, 1, 1, 3], [0, 2, 1, 0, 3]] = 190, 1, 2, 4, 6
    scores = collect_counts(matrix, images_by_class=[9, 2, 0, 1])
    class_scores = evaluation.score_classes(scores, CLASSES)
    assert evaluation.format_mean(class_scores, scores, CLASSES) == expected
    assert [entry.name for entry in class_scores] == scored
    assert {entry.basis for entry in class_scores} >= {'2 images', '1 image'}


def test_the_background_is_known_by_its_name_at_any_place():
    classes = ['cat', 'background', 'cow']
    matrix = make_empty_matrix(3)
    matrix.matched[[0, 1, 2], [0, 1, 2]] = 2, 190, 6
    evaluation = SegmentationEvaluation()
    scores = collect_counts(matrix, images_by_class=[2, 9, 1])
    class_scores = evaluation.score_classes(scores, classes)
    assert [entry.name for entry in class_scores] == ['cat', 'cow']
    assert 'without the background' in evaluation.format_mean(class_scores, scores, classes)


def test_a_background_without_other_classes_is_scored():
    matrix = make_empty_matrix(1)
    matrix.matched[0, 0] = 9
    scores = collect_counts(matrix, images_by_class=[1])
    evaluation = SegmentationEvaluation()
    (entry,) = evaluation.score_classes(scores, ['background'])
    assert (entry.name, entry.score) == ('background', 1)
    assert evaluation.format_mean([entry], scores, ['background']) == 'mIoU 1.000'


def test_each_class_of_a_detector_is_scored_at_its_threshold():
    curve = Curve(*np.array([[0.9, 0.8, 0.3], [1, 2, 3], [1, 2, 2]]), 2)
    rare = Curve(*np.array([[0.4], [1], [1]]), 1)
    found = ClassMatches(np.ones(2, int), np.arange(2), np.array([0.9, 0.8]), np.ones(2, bool))
    of_rare = ClassMatches(np.ones(1, int), np.zeros(1, int), np.array([0.4]), np.ones(1, bool))
    curves = DetectionCurves(
        overall=curve,
        by_class=[curve, rare, replace(rare, num_objects=0)],
        matches=[found, of_rare, of_rare],
        boxes=AveragePrecision(np.empty(0), np.empty(0)),
        masks=None,
    )
    matrix = make_empty_matrix(3)
    matrix.missed[:2] = 2, 1
    scores = DetectionScores(
        num_images=2,
        confusion_matrix=matrix,
        images_by_class=np.array([2, 1, 0]),
        curves=curves,
        lowest_scores={},
    )
    evaluation = DetectionEvaluation()
    single = ScoreThresholds(curves.overall.best_threshold)
    cat, dog = evaluation.score_classes(scores, CLASSES[1:], single)
    assert (cat.score, cat.name, cat.basis) == (1, 'cat', '2 objects in 2 images')
    assert (dog.score, dog.name, dog.basis) == (0, 'dog', '1 object in 1 image')
    assert dog.is_hidden
    _, dog = evaluation.score_classes(scores, CLASSES[1:], ScoreThresholds(0.55, {'dog': 0.3}))
    assert (dog.score, dog.is_hidden) == (1, False)


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
