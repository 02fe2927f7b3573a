"""The curves of a detector, and the agreement of its AP with mmdet's."""

import shutil
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmgcvit.errors import UserError
from mmgcvit.own.judging.choosing import choose_thresholds
from mmgcvit.own.judging.detection import DetectionEvaluation, format_thresholds
from mmgcvit.own.judging.detection_curves import compute_detection_curves, encode_detections
from mmgcvit.own.judging.plots import draw_detection_curves
from mmgcvit.own.judging.scoring import make_empty_matrix
from mmgcvit.predict.load import load
from mmgcvit.predict.thresholds import ScoreThresholds, read_thresholds, write_thresholds
from mmgcvit.runs.folder import RunFolder

from .conftest import make_detections

CLASSES = ['cat', 'dog']
# Objects, ignored objects and detections of images: positions on a grid, labels, scores in percent.
OBJECTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(1, 99)), max_size=6)
IMAGES = st.lists(st.tuples(OBJECTS, OBJECTS, OBJECTS), min_size=1, max_size=4)
CROWD = [(position, 0, 99) for position in range(150)]


def place(objects, ignored=None):
    """Make detections with masks that fill their boxes."""
    found = [((20 * at, 0, 20 * at + 16, 16), label, score / 100) for at, label, score in objects]
    detections = make_detections(found, CLASSES)
    masks = np.zeros((len(found), 16, 3000), bool)
    for mask, (left, _, right, _) in zip(masks, detections.boxes.astype(int), strict=True):
        mask[:, left:right] = True
    return replace(detections, masks=masks, ignored=None if ignored is None else place(ignored))


def compute_curves(images):
    ground_truths = []
    predictions = []
    for objects, ignored, found in images:
        ground_truths.append(encode_detections(place(objects, ignored), with_masks=True))
        predictions.append(encode_detections(place(found), with_masks=True))
    return compute_detection_curves(ground_truths, predictions, len(CLASSES))


def compute_mmdets_scores(images):
    from mmgcvit.fixes.mmdet import CocoMetric

    metric, results = CocoMetric(metric='bbox'), []
    metric.dataset_meta = {'classes': CLASSES}
    for index, (objects, ignored, found) in enumerate(images):
        instances = []
        for flag, part in enumerate([place(objects), place(ignored)]):
            for each in part:
                instances.append({'bbox': each.box, 'bbox_label': each.label, 'ignore_flag': flag})
        ground_truth = {'img_id': index, 'width': 96, 'height': 16, 'anns': instances}
        found = place(found)
        prediction = {'bboxes': found.boxes, 'scores': found.scores, 'labels': found.labels}
        results.append((ground_truth, {'img_id': index, **prediction}))
    return metric.compute_metrics(results)


def test_the_legend_names_every_class():
    """Also one whose name begins with an underscore, as labelme's _background_."""
    curves = compute_curves([([(0, 0, 99)], [], [(0, 0, 99)])])
    figure = draw_detection_curves(curves, ['_background_', 'dog'], ScoreThresholds(0.3))
    texts = [text.get_text().strip() for text in figure.axes[0].get_legend().get_texts()]
    assert texts == ['all objects', '_background_: AP50 1.00', 'dog: no objects']


WITHOUT_OBJECTS = [([], [], [])]
IGNORED_ONLY = [([], [(0, 0, 99)], [(0, 0, 99)])]


@settings(max_examples=5)
@given(IMAGES)
@example(WITHOUT_OBJECTS)
@example(IGNORED_ONLY)
@example([(CROWD, [], CROWD)])
def test_curves_of_any_images_are_drawn(images):
    thresholds = ScoreThresholds(0.3, {'dog': 0.2})
    assert len(draw_detection_curves(compute_curves(images), CLASSES, thresholds).axes) == 2


@settings(max_examples=50)
@given(IMAGES)
@example(WITHOUT_OBJECTS)
@example(IGNORED_ONLY)
@example([(CROWD, [], CROWD)])
def test_ap_is_that_of_mmdets_metric(images):
    curves = compute_curves(images)
    ap, ap50 = curves.boxes.ap, curves.boxes.ap50
    # masks fill the boxes
    np.testing.assert_array_equal([curves.masks.ap, curves.masks.ap50], [ap, ap50])
    labels = {label for objects, _, _ in images for _, label, _ in objects}
    assert np.isnan(ap).tolist() == [label not in labels for label in range(len(CLASSES))]
    found = any(found for _, _, found in images)
    if not labels or not found:
        assert not np.nan_to_num(ap).any()
        assert found or curves.overall.best_threshold == 0
        return
    scores = compute_mmdets_scores(images)
    # mmdet rounds to three digits.
    assert np.nanmean(ap) == pytest.approx(scores['bbox_mAP'], abs=6e-4)
    assert np.nanmean(ap50) == pytest.approx(scores['bbox_mAP_50'], abs=6e-4)


@settings(max_examples=50)
@given(IMAGES)
@example([(CROWD, [], CROWD)])
def test_all_detections_count_except_on_ignored_objects(images):
    """In the curves, and in the confusion matrix of each image."""
    curve = compute_curves(images).overall
    expected = np.zeros(3)
    for image in images:
        objects, ignored, found = (
            Counter((position, label) for position, label, _ in part) for part in image
        )
        correct = (objects & found).total()
        false = sum(number for at, number in (found - objects).items() if at not in ignored)
        prediction = replace(place(image[2]), masks=None)
        score = DetectionEvaluation().score_image(place(*image[:2]), prediction, len(CLASSES))
        assert score.confusion_matrix.ground_truths.sum() == objects.total()
        assert score.confusion_matrix.predictions.sum() == correct + false
        total = objects.total() + correct + false
        assert score.value == (2 * correct / total if total else 1)
        expected += (objects.total(), correct, correct + false)
    counts = (curve.num_correct.max(initial=0), curve.num_detections.max(initial=0))
    np.testing.assert_array_equal((curve.num_objects, *counts), expected)


def test_the_chosen_threshold_is_used_for_its_checkpoint_only(work_dirs, tmp_path):
    run = shutil.copytree(work_dirs['detection'], tmp_path / 'run')
    checkpoint = run / 'epoch_1.pth'
    objects, found = [(0, 0, 99), (1, 1, 99)], [(0, 0, 80), (1, 1, 80), (2, 0, 40)]
    curves = compute_curves([(objects, [], found)])
    thresholds = choose_thresholds(curves, CLASSES)
    write_thresholds(RunFolder(run), checkpoint, thresholds)
    text = format_thresholds(curves, thresholds, CLASSES)
    assert ' 0.60, with the highest F1 of all objects (1.00;' in text
    assert text.endswith(': 2 of 2 objects found, 0 missed, 0 false')
    assert load(run).score_thr == load(run / 'detect.py', checkpoint).score_thr == 0.6
    assert load(run, shutil.copy(checkpoint, run / 'epoch_2.pth')).score_thr == 0.6
    assert load(run, score_thr=0.1).score_thr == 0.1
    with checkpoint.open('ab') as file:
        file.write(b'0')
    # Other bytes of the same name.
    assert read_thresholds(RunFolder(run), str(checkpoint)) is None
    (run / 'score_thr.json').write_text('{')
    with pytest.raises(UserError, match=r'score_thr\.json is damaged'):
        load(run)


def test_f1_of_all_objects_and_its_mean_over_the_classes_are_printed():
    """Three cats are found and a dog is not; there is no other class with objects."""
    objects = [(0, 0, 99), (1, 0, 99), (2, 0, 99), (3, 1, 99)]
    curves = compute_curves([(objects, [], [(0, 0, 80), (1, 0, 70), (2, 0, 60), (3, 1, 20)])])
    scores = SimpleNamespace(
        confusion_matrix=make_empty_matrix(2), curves=curves, list_limited=lambda _: []
    )
    thresholds = ScoreThresholds(0.5)
    model = SimpleNamespace(classes=CLASSES, thresholds=thresholds, tiles=None)
    text = DetectionEvaluation().summarise(scores, model)[1]
    assert '0.5 (--score-thr): F1 of all objects 0.86, mean over classes 0.50;' in text
    model.thresholds = ScoreThresholds(0.5, {'dog': 0.1})
    text = DetectionEvaluation().summarise(scores, model)[1]
    assert '(dog 0.1) (--score-thr): F1 of all objects 1.00, mean over classes 1.00;' in text
    own = format_thresholds(curves, model.thresholds, CLASSES)
    assert '(0.86; mean over classes 0.50); own ones of classes' in own
    assert '(dog 0.10): F1 of all objects 1.00, mean over classes 1.00: 4 of 4 objects' in own


@settings(max_examples=50)
@given(OBJECTS, OBJECTS.filter(bool))
def test_no_other_threshold_has_a_higher_f1(objects, found):
    """Also with equal scores, of which a threshold keeps all or none."""
    percents = {percent for _, _, percent in found}

    def compute_f1(threshold):
        kept = [each for each in found if each[2] >= threshold]
        return compute_curves([(objects, [], kept)]).overall.f1[-1]

    best = 100 * compute_curves([(objects, [], found)]).overall.best_threshold
    assert compute_f1(best) == pytest.approx(max(map(compute_f1, percents)))
    # The threshold is halfway between two scores, or between a score and 0.
    assert best < max(percents)
    assert min(abs(best - percent) for percent in percents) > 0.1
