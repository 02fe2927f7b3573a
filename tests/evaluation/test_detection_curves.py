"""The curves of a detector, and the agreement of its AP with mmdet's."""

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from mmgcvit.errors import UserError
from mmgcvit.evaluation import mistakes
from mmgcvit.evaluation.detection_curves import (
    compute_detection_curves,
    draw_detection_curves,
    make_curve,
)
from mmgcvit.evaluation.mistakes import judge_run, score_image
from mmgcvit.inference.loading import load
from mmgcvit.inference.model_files import read_score_thr
from mmgcvit.inference.predictor import Detector
from mmgcvit.inference.results import Outcome

from .conftest import make_detections

CLASSES = ['cat', 'dog']
OBJECTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(1, 99)), max_size=6)


def place(objects):
    """Make detections from positions on a grid, labels and scores in percent."""
    boxes = [(20 * position, 0, 20 * position + 16, 16) for position, _, _ in objects]
    found = [
        (box, label, score / 100) for box, (_, label, score) in zip(boxes, objects, strict=True)
    ]
    return make_detections(found, CLASSES)


def add_masks(objects):
    """Return objects with masks that fill their boxes, as RLE."""
    boxes = np.hstack([objects.boxes[:, :2], objects.boxes[:, 2:] - objects.boxes[:, :2]]).astype(
        float
    )
    masks = coco_mask.frPyObjects(boxes, 16, 3000) if len(objects) else []
    return replace(objects, masks=masks, ignored=objects.ignored and add_masks(objects.ignored))


@settings(max_examples=50)
@given(st.lists(st.tuples(OBJECTS, OBJECTS, OBJECTS), min_size=1, max_size=4))
@example([([], [], [])])
@example([([], [(0, 0, 99)], [(0, 0, 99)])])
@example(
    [
        (
            [(position, 0, 99) for position in range(150)],
            [],
            [(position, 0, 99) for position in range(150)],
        )
    ]
)
def test_ap_is_that_of_mmdets_metric_and_all_detections_count_except_on_ignored_objects(images):
    """In the last example, an image has more detections than the 100 that count in COCO's AP."""
    from mmdet.evaluation import CocoMetric

    ground_truths, ignored, predictions = (
        [*map(place, side)] for side in zip(*images, strict=True)
    )
    ground_truths = [
        replace(objects, ignored=more) for objects, more in zip(ground_truths, ignored, strict=True)
    ]
    curves = compute_detection_curves(ground_truths, predictions, len(CLASSES))
    assert len(draw_detection_curves(curves, CLASSES, 0.3).axes) == 2
    masked = [[*map(add_masks, side)] for side in (ground_truths, predictions)]
    with_masks = compute_detection_curves(*masked, len(CLASSES))
    np.testing.assert_array_equal(
        [with_masks.mask_ap, with_masks.mask_ap50], [curves.ap, curves.ap50]
    )
    labels = {label for objects in ground_truths for label in objects.labels}
    assert np.isnan(curves.ap).tolist() == [label not in labels for label in range(len(CLASSES))]
    if not any(map(len, ground_truths)) or not any(map(len, predictions)):
        assert not np.nan_to_num(curves.ap).any()
        assert any(map(len, predictions)) or curves.overall.best_threshold == 0
        return
    metric, results = CocoMetric(metric='bbox', classwise=True), []
    metric.dataset_meta = {'classes': CLASSES}
    for index, (objects, found) in enumerate(zip(ground_truths, predictions, strict=True)):
        instances = [
            {'bbox': box, 'bbox_label': label, 'ignore_flag': flag}
            for flag, part in enumerate([objects, objects.ignored])
            for box, label in zip(part.boxes.tolist(), part.labels.tolist(), strict=True)
        ]
        truth = {'img_id': index, 'width': 96, 'height': 16, 'anns': instances}
        predicted = {
            'img_id': index,
            'bboxes': found.boxes,
            'scores': found.scores,
            'labels': found.labels,
        }
        results.append((truth, predicted))
    scores = metric.compute_metrics(results)
    # mmdet rounds to three digits.
    assert np.nanmean(curves.ap) == pytest.approx(scores['bbox_mAP'], abs=6e-4)
    assert np.nanmean(curves.ap50) == pytest.approx(scores['bbox_mAP_50'], abs=6e-4)
    labelled = [
        [Counter((position, label) for position, label, _ in part) for part in parts]
        for parts in images
    ]
    matches = sum((objects & found).total() for objects, _, found in labelled)
    # Detections that are neither matched nor on an ignored object of their class.
    false = [
        Counter({at: n for at, n in (f - o).items() if at not in i}).total() for o, i, f in labelled
    ]
    assert curves.overall.recall.max(initial=0) == pytest.approx(
        matches / sum(map(len, ground_truths))
    )
    expected = [matches / (matches + sum(false))] if matches or any(false) else []
    assert curves.overall.precision[-1:] == pytest.approx(expected)
    for (objects, _, found), number, *pair in zip(
        labelled, false, ground_truths, predictions, strict=True
    ):
        _, matrix = score_image(*pair, CLASSES)
        assert (matrix[:-1].sum(), matrix[:, :-1].sum()) == (
            objects.total(),
            (objects & found).total() + number,
        )


def test_the_chosen_threshold_is_used_for_its_checkpoint_only(work_dirs, tmp_path, monkeypatch):
    run = shutil.copytree(work_dirs['detection'], tmp_path / 'run')
    objects, found = [(0, 0, 99), (1, 1, 99)], [(0, 0, 80), (1, 1, 80), (2, 0, 40)]
    monkeypatch.setattr(mistakes, 'load_sample', lambda *_: (None, None, place(objects)))
    monkeypatch.setattr(Detector, 'predict_batch', lambda self, images: [Outcome(place(found))])
    scores = ' 0.60, with the highest F1 (1.00): 8 of 8 objects found, 0 missed, 0 false\ngood: F1 is at least 0.8'
    assert judge_run(run).endswith(scores)
    assert load(run).score_thr == load(run / 'detect.py', run / 'epoch_1.pth').score_thr == 0.6
    other = shutil.copy(run / 'epoch_1.pth', run / 'epoch_2.pth')
    assert (load(run, other).score_thr, load(run, score_thr=0.1).score_thr) == (0.3, 0.1)
    with (run / 'epoch_1.pth').open('ab') as file:
        file.write(b'0')
    assert read_score_thr(run / 'detect.py', str(run / 'epoch_1.pth')) is None, (
        'other bytes of the same name'
    )
    (run / 'score_thr.json').write_text('{')
    with pytest.raises(UserError, match=r'score_thr\.json is damaged'):
        load(run)
    found.clear()
    assert 'no confidence threshold' in judge_run(run)
    objects.clear()
    assert 'poor' not in judge_run(run), 'without objects, there is no score'


@given(st.lists(st.tuples(st.integers(1, 99), st.booleans()), min_size=1, max_size=8))
def test_no_other_threshold_has_a_higher_f1(detections):
    """Also with equal scores, of which a threshold keeps all or none."""
    scores, is_correct = np.array(detections).T / [[100], [1]]
    num_objects = max(1, int(is_correct.sum()))
    ignored = {'dtIgnore': np.zeros((1, len(scores))), 'gtIgnore': np.zeros(num_objects)}
    curve = make_curve([{'dtScores': scores, 'dtMatches': is_correct[None], **ignored}])

    def compute_f1(threshold):
        kept = scores >= threshold
        return 2 * is_correct[kept].sum() / (kept.sum() + num_objects)

    assert compute_f1(curve.best_threshold) == pytest.approx(max(map(compute_f1, scores)))
    # The threshold is halfway between two scores, or between a score and 0.
    assert curve.best_threshold < curve.scores.max()
    assert curve.best_threshold not in curve.scores
