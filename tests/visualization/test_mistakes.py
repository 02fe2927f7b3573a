"""Mistakes are counted as the OpenMMLab packages count; one pass finds the worst images; files are written."""

import io
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from mmgcvit.config import read_config
from mmgcvit.inference import Classification, Detections, Segmentation
from mmgcvit.visualization.ground_truth import GroundTruth, TrueDetections, build_dataset
from mmgcvit.visualization.mistakes import draw_confusion, find_confusions, find_mistakes, score_image

from .conftest import PER_CLASS, TASKS

CLASSES = ['cat', 'dog', 'cow']
LABELS = st.integers(0, len(CLASSES) - 1)
PLACES = st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 6), st.integers(1, 6))
OBJECTS = st.lists(st.tuples(PLACES, LABELS), max_size=6)
MAPS = st.lists(st.lists(st.tuples(st.sampled_from([0, 1, 2, 255]), LABELS), min_size=4, max_size=4), min_size=1)


def boxes_of(found):
    places = np.array([place for place, _ in found], np.float32).reshape(-1, 4)
    return np.concatenate([places[:, :2], places[:, :2] + places[:, 2:]], axis=1)


def detections(found, kind=Detections, **more):
    """Objects of (left, top, width, height) and a label each, the first of the highest score."""
    labels = np.array([label for _, label in found], np.int64)
    scores = np.linspace(1, 0.5, len(found), dtype=np.float32)
    return kind(boxes_of(found), scores, labels, [CLASSES[label] for label in labels], **more)


def true(found, ignored=()):
    return detections(found, TrueDetections, ignored=boxes_of([(place, 0) for place in ignored]))


def segmentation(label_map):
    labels, areas = np.unique(label_map[label_map < len(CLASSES)], return_counts=True)
    return Segmentation(label_map, labels, [CLASSES[label] for label in labels], areas)


def classification(label):
    scores = np.full(len(CLASSES), 0.1, np.float32)
    scores[label] = 0.8
    return Classification(label, CLASSES[label], 0.8, scores)


@given(OBJECTS, OBJECTS)
def test_each_object_and_each_detection_is_counted_once(there, found):
    counts = score_image(true(there), detections(found), CLASSES).counts
    for label in range(len(CLASSES)):
        assert counts[label].sum() == sum(other == label for _, other in there)
        assert counts[:, label].sum() == sum(other == label for _, other in found)
    assert counts[-1, -1] == 0


PLACE = (0, 0, 4, 4)


@pytest.mark.parametrize(
    ('there', 'found', 'score', 'text'),
    [
        ([], [], 1.0, '0 of 0 found'),
        ([(PLACE, 0)], [(PLACE, 0)], 1.0, '1 of 1 found'),
        ([(PLACE, 0)], [], 0.0, '0 of 1 found; 1 × cat → background'),
        ([(PLACE, 0)], [(PLACE, 1)], 0.0, '0 of 1 found; 1 × cat → dog'),
        ([(PLACE, 0)], [(PLACE, 0), (PLACE, 0)], 2 / 3, '1 of 1 found; 1 × background → cat'),
    ],
)
def test_objects_are_scored_by_f1(there, found, score, text):
    judged = score_image(true(there), detections(found), CLASSES)
    assert (judged.score, judged.text) == (pytest.approx(score), text)


def test_detections_in_crowds_do_not_count():
    assert score_image(true([], [(0, 0, 9, 9)]), detections([((1, 1, 2, 2), 0)]), CLASSES).score == 1.0


@given(MAPS)
def test_pixels_are_counted_as_mmseg_counts_them(rows):
    from mmseg.evaluation import IoUMetric

    both = np.array(rows, np.int32)
    truth, found = both[..., 0], both[..., 1]
    judged = score_image(segmentation(truth), segmentation(found), CLASSES)
    overlap, union, predicted, there = IoUMetric.intersect_and_union(
        torch.from_numpy(found), torch.from_numpy(truth), len(CLASSES), 255
    )
    assert np.diag(judged.counts)[:-1].tolist() == overlap.tolist()
    assert judged.counts.sum(1)[:-1].tolist() == there.tolist()
    assert judged.counts.sum(0)[:-1].tolist() == predicted.tolist()
    if union.sum():
        np.testing.assert_allclose(judged.score, (overlap / union).nanmean(), atol=1e-6)


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1))
def test_classes_are_counted_as_mmpretrain_counts_them(pairs):
    from mmpretrain.evaluation import ConfusionMatrix

    counts = sum(score_image(classification(truth), classification(found), CLASSES).counts for truth, found in pairs)
    truths, found = map(list, zip(*pairs, strict=True))
    expected = ConfusionMatrix.calculate(torch.tensor(found), torch.tensor(truths), num_classes=len(CLASSES))
    assert counts[:-1, :-1].tolist() == expected.tolist()


def test_the_most_frequent_confusions_come_first():
    counts = np.array([[9, 2, 0], [3, 9, 1], [0, 0, 9]])
    assert find_confusions(counts, 2) == [(1, 0, 3), (0, 1, 2)]
    assert len(find_confusions(counts, 9)) == 3


@pytest.fixture
def truths(work_dir, model, task):
    settings = read_config(work_dir / f'{TASKS[task]}.py').val_dataloader.dataset
    return GroundTruth(build_dataset(settings, model.scope), settings, model.scope, model.classes)


def find(model, truths, worst=3, batch_size=2, screen=None):
    progress = Progress(console=Console(file=screen or io.StringIO()), disable=True)
    return find_mistakes(model, truths, worst, batch_size, progress)


def count_in_files(data, task):
    """How often each class is there, counted without the OpenMMLab packages."""
    if task == 'detection':
        content = json.loads((data / 'coco' / 'annotations' / 'instances_val2017.json').read_text())
        numbers = {category['id']: number for number, category in enumerate(content['categories'])}
        return Counter(numbers[each['category_id']] for each in content['annotations'])
    if task == 'segmentation':
        maps = sorted((data / 'ADEChallengeData2016/annotations/validation').iterdir())
        pixels = np.concatenate([np.asarray(Image.open(path)).reshape(-1) for path in maps])
        return Counter((pixels[pixels > 0] - 1).tolist())
    return Counter(dict.fromkeys(range(10), PER_CLASS))


def test_one_pass_counts_what_the_files_hold_and_keeps_the_worst(model, truths, data, task):
    counts, worst, failed = find(model, truths, worst=len(truths))
    rows = {row: count for row, count in enumerate(counts[:-1].sum(1).tolist()) if count}
    assert rows == count_in_files(data, task)
    assert failed == []
    scores = [mistake.found.score for mistake in worst]
    assert (len(scores), scores) == (len(truths), sorted(scores))
    two = find(model, truths, worst=2, batch_size=3)[1]
    assert [mistake.number for mistake in two] == [mistake.number for mistake in worst[:2]]


def test_the_ground_truth_itself_has_no_mistakes(model, truths):
    for number in range(len(truths)):
        info = truths.get_info(number)
        truth = truths.load_truth(info, truths.load_image(info))
        judged = score_image(truth, truth, model.classes)
        assert judged.score == 1.0
        assert judged.counts.sum() == judged.counts.trace()


def test_a_damaged_image_is_named_and_skipped(model, truths):
    path = truths.get_info(1)['img_path']
    whole, screen = Path(path).read_bytes(), io.StringIO()
    try:
        Path(path).write_bytes(whole[:100])
        _, worst, failed = find(model, truths, len(truths), screen=screen)
    finally:
        Path(path).write_bytes(whole)
    assert len(worst) == len(truths) - 1
    assert len(failed) == 1
    assert failed[0].startswith(f'{path} cannot be read')
    assert f'skipped: {path} cannot be read' in screen.getvalue()


def test_the_command_writes_a_matrix_and_the_worst_images(call, work_dir, task, tmp_path):
    arguments = [work_dir, '--device', 'cpu', *(['--score-thr', 0] if task == 'detection' else [])]
    code, printed = call('mistakes', *arguments, '--worst', 2)
    assert not code
    out = tmp_path / 'mistakes'
    matrix = json.loads((out / 'confusion.json').read_text())
    counts = np.array(matrix['matrix'])
    assert counts.shape == (len(matrix['classes']),) * 2
    assert f'{np.trace(counts):,} of {counts[:-1].sum():,} {matrix["counted"]} right' in printed
    first = matrix['most_confused'][0]
    assert f'{first["count"]:,} × {first["truth"]} → {first["predicted"]}' in printed
    assert cv2.imread(str(out / 'confusion.png')).shape[1] > 500
    table = json.loads((out / 'worst.json').read_text())['images']
    assert [entry['rank'] for entry in table] == [1, 2]
    for entry in table:
        assert cv2.imread(str(out / entry['drawn'])).shape[1] > 800
        assert f'{entry["score"]:.3f} {entry["file_name"]}: {entry["why"]}' in printed
    assert '--overwrite' in call('mistakes', *arguments, '--worst', 1, '--out-dir', out.name)[1]


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--batch-size', 0], '--batch-size 0: expected at least 1'),
        (['--worst', -1], '--worst -1: expected at least 0'),
        (['--score-thr', 2], 'score_thr=2.0: expected a score from 0 to 1'),
        (['--out-dir', '/proc/x'], 'cannot be written'),
    ],
)
def test_options_without_meaning_are_rejected(call, work_dirs, arguments, words):
    code, printed = call('mistakes', work_dirs['detection'], *arguments)
    assert code
    assert printed.startswith('mistakes: ')
    assert words in printed


@pytest.mark.parametrize('options', [{'metainfo': {'classes': ('0', '1')}}, {'ann_file': 'nowhere.json'}])
def test_data_that_do_not_fit_are_rejected_in_a_sentence(call, work_dirs, options, tmp_path):
    cfg = read_config(work_dirs['detection'] / 'detect.py')
    cfg.val_dataloader.dataset.update(options)
    cfg.dump(tmp_path / 'other.py')
    code, printed = call('mistakes', tmp_path / 'other.py', work_dirs['detection'] / 'epoch_1.pth')
    assert code
    assert 'classes' in printed or 'nowhere.json' in printed


@pytest.mark.parametrize('number', [2, 10, 80, 300])
def test_a_matrix_of_any_size_is_drawn(number):
    counts = np.random.default_rng(0).integers(0, 9, (number + 1, number + 1))
    width, height = draw_confusion(counts, [f'class {i}' for i in range(number)], 'detection').get_size_inches()
    assert 5 < height < width < 30
