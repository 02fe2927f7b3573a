"""Mistakes: every truth and every prediction is counted once, as the hosts count; one pass finds the worst; files."""

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

from mmgcvit.engine.progress import Display
from mmgcvit.errors import UserError
from mmgcvit.hosts.configs import read_config
from mmgcvit.inference import Classification, Detections, Segmentation
from mmgcvit.visualization.judging import Confusion, TrueDetections, empty_confusion, iou_of, judge, match, truths_of
from mmgcvit.visualization.mistakes import check_folder, draw_confusion, find_mistakes

from ..inference import conftest as of_inference
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
    """Objects of (left, top, width, height) and a label each, the first the surest."""
    labels = np.array([label for _, label in found], np.int64)
    scores = np.linspace(1, 0.5, len(found), dtype=np.float32)
    return kind(boxes_of(found), scores, labels, [CLASSES[label] for label in labels], **more)


def true(found, crowds=()):
    return detections(found, TrueDetections, crowds=boxes_of([(crowd, 0) for crowd in crowds]))


@given(OBJECTS, OBJECTS)
def test_objects_are_matched_one_to_one_and_counted_once(there, found):
    pairs, missed, false = match(detections(found), true(there))
    assert sorted([*pairs[:, 0], *missed]) == list(range(len(there)))
    assert sorted([*pairs[:, 1], *false]) == list(range(len(found)))
    overlaps = iou_of(boxes_of(found), boxes_of(there))
    assert all(overlaps[number, truth] >= 0.5 for truth, number in pairs)
    confusion = empty_confusion('detection', CLASSES)
    judge(true(there), detections(found), confusion)
    for label in range(len(CLASSES)):
        assert confusion.counts[label].sum() == sum(other == label for _, other in there)
        assert confusion.counts[:, label].sum() == sum(other == label for _, other in found)
    assert confusion.counts[-1, -1] == 0
    # What is there, found again, is without mistakes; two objects in one place may be found in either order.
    confusion = empty_confusion('detection', CLASSES)
    verdict = judge(true(there), detections(there), confusion)
    assert (verdict.score, verdict.mistakes, confusion.right) == (1.0, 0, 1.0 if there else 0.0)


def test_objects_in_one_place():
    """A second box is false; the right class comes first though another is surer; another class is taken for it."""
    place = (0, 0, 4, 4)
    confusion = empty_confusion('detection', CLASSES)
    verdict = judge(true([(place, 0)]), detections([(place, 0), (place, 0)]), confusion)
    assert (confusion.counts[0, 0], confusion.counts[-1, 0]) == (1, 1)
    assert (verdict.score, verdict.why) == (2 / 3, '1 of 1 found; 1 × cat where none is')
    pairs, _, false = match(detections([(place, 1), (place, 0)]), true([(place, 0)]))
    assert pairs.tolist() == [[0, 1]]
    assert false.tolist() == [0]
    confusion = empty_confusion('detection', CLASSES)
    verdict = judge(true([(place, 0)]), detections([(place, 1)]), confusion)
    assert confusion.counts[0, 1] == 1
    assert (verdict.score, verdict.why) == (0.0, '0 of 1 found; 1 × cat taken for dog')
    verdict = judge(
        true([], crowds=[(0, 0, 9, 9)]), detections([((1, 1, 2, 2), 0)]), empty_confusion('detection', CLASSES)
    )
    assert (verdict.score, verdict.mistakes) == (1.0, 0)


@given(MAPS)
def test_pixels_are_counted_as_mmseg_counts_them(rows):
    from mmseg.evaluation import IoUMetric

    both = np.array(rows, np.int32)
    truth, found = both[..., 0], both[..., 1]
    confusion = Confusion(CLASSES, 'pixels')
    verdict = judge(segmentation(truth), segmentation(found), confusion)
    overlap, union, predicted, there = IoUMetric.intersect_and_union(
        torch.from_numpy(found), torch.from_numpy(truth), len(CLASSES), 255
    )
    assert np.diag(confusion.counts).tolist() == overlap.tolist()
    assert confusion.counts.sum(1).tolist() == there.tolist()
    assert confusion.counts.sum(0).tolist() == predicted.tolist()
    if union.sum():
        np.testing.assert_allclose(verdict.score, (overlap / union).nanmean(), atol=1e-6)
    assert verdict.mistakes == int(there.sum() - overlap.sum())


def segmentation(label_map):
    labels, areas = np.unique(label_map[label_map < len(CLASSES)], return_counts=True)
    return Segmentation(label_map, labels, [CLASSES[label] for label in labels], areas)


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1))
def test_classes_are_counted_as_mmpretrain_counts_them(pairs):
    from mmpretrain.evaluation import ConfusionMatrix

    confusion = Confusion(CLASSES, 'images')
    for truth, found in pairs:
        judge(classification(truth), classification(found), confusion)
    truths, found = map(list, zip(*pairs, strict=True))
    expected = ConfusionMatrix.calculate(torch.tensor(found), torch.tensor(truths), num_classes=len(CLASSES))
    assert confusion.counts.tolist() == expected.tolist()


def classification(label):
    scores = np.full(len(CLASSES), 0.1, np.float32)
    scores[label] = 0.8
    return Classification(label, CLASSES[label], 0.8, scores)


@given(st.lists(st.tuples(LABELS, LABELS)), st.integers(0, 9))
def test_the_most_confused_are_different_classes_in_order(pairs, number):
    confusion = Confusion(CLASSES, 'images')
    confusion.add(*np.array(pairs, np.int64).reshape(-1, 2).T)
    wrong = {pair: pairs.count(pair) for pair in pairs if pair[0] != pair[1]}
    most = confusion.most_confused(number)
    assert len(most) == min(number, len(wrong))
    assert [pair.count for pair in most] == sorted(wrong.values(), reverse=True)[:number]
    assert all(wrong[CLASSES.index(pair.truth), CLASSES.index(pair.predicted)] == pair.count for pair in most)


@pytest.fixture
def truths(work_dir, model, task):
    return truths_of(read_config(work_dir / f'{TASKS[task]}.py'), 'val_dataloader', model)


def found_by(model, truths, worst=3, batch_size=2, screen=None):
    return find_mistakes(model, truths, worst, batch_size, Display(screen or io.StringIO()))


def truths_by_files(data, task):
    """How often each class is there, counted without any of the hosts."""
    if task == 'detection':
        content = json.loads((data / 'coco/annotations/instances_val2017.json').read_text())
        names = {category['id']: category['name'] for category in content['categories']}
        classes = of_inference.CLASSES[task]
        return Counter(classes.index(names[entry['category_id']]) for entry in content['annotations'])
    if task == 'segmentation':
        maps = sorted((data / 'ADEChallengeData2016/annotations/validation').iterdir())
        pixels = np.concatenate([np.asarray(Image.open(path)).reshape(-1) for path in maps])
        return Counter((pixels[pixels > 0] - 1).tolist())
    return Counter(dict.fromkeys(range(10), PER_CLASS))


def test_one_pass_counts_what_the_files_hold_and_keeps_the_worst(model, truths, data, task):
    """Of verdicts as sorting all gives them, of equal ones the first images; batches change nothing."""
    every = found_by(model, truths, worst=len(truths))
    rows = {row: count for row, count in enumerate(every.confusion.counts.sum(1).tolist()) if count}
    rows.pop(len(model.classes), None)
    assert rows == truths_by_files(data, task)
    assert (every.images, every.failed) == (len(truths), [])
    order = sorted(every.worst, key=lambda judged: (judged.verdict.score, -judged.verdict.mistakes, judged.number))
    assert [judged.number for judged in every.worst] == [judged.number for judged in order]
    none = found_by(model, truths, worst=0)
    assert (none.images, none.worst) == (len(truths), [])
    two = found_by(model, truths, worst=2, batch_size=3)
    assert [judged.number for judged in two.worst] == [judged.number for judged in order[:2]]
    # In other batches the last digits differ, of which a pixel or a box at a threshold may turn.
    assert np.abs(every.confusion.counts - two.confusion.counts).sum() <= 0.001 * every.confusion.counts.sum()


def test_the_truth_itself_is_without_mistakes(model, truths, task):
    confusion = empty_confusion(model.task, model.classes)
    for number in range(len(truths)):
        info = truths.info(number)
        truth = truths.truth(info, truths.image(info))
        assert judge(truth, truth, confusion)[:2] == (1.0, 0)
    assert confusion.right == 1.0


def test_a_damaged_image_is_named_and_the_rest_goes_on(model, truths):
    path = truths.info(1)['img_path']
    whole, screen = Path(path).read_bytes(), io.StringIO()
    try:
        Path(path).write_bytes(whole[:100])
        found = found_by(model, truths, screen=screen)
    finally:
        Path(path).write_bytes(whole)
    assert found.images == len(truths) - 1
    assert len(found.failed) == 1
    assert found.failed[0].startswith(f'{path} cannot be read')
    assert f'skipped: {path} cannot be read' in screen.getvalue()


def test_data_that_do_not_fit_are_refused_in_a_sentence(models, work_dirs):
    for name, value, message in (
        ('metainfo', {'classes': ('0', '1')}, '2 classes, the model 10'),
        ('ann_file', 'nowhere.json', r'val_dataloader cannot be loaded.*check-data'),
    ):
        cfg = read_config(work_dirs['detection'] / f'{TASKS["detection"]}.py')
        cfg.val_dataloader.dataset[name] = value
        with pytest.raises(UserError, match=message):
            truths_of(cfg, 'val_dataloader', models['detection'])


def test_matrix_pictures_and_table_are_written_and_nothing_is_overwritten_unasked(call, work_dir, task, tmp_path):
    arguments = [work_dir, '--device', 'cpu', *(['--score-thr', 0] if task == 'detection' else [])]
    code, printed = call('mistakes', *arguments, '--worst', 2)
    assert not code
    out = tmp_path / 'mistakes'
    matrix = json.loads((out / 'confusion.json').read_text())
    classes = of_inference.CLASSES[task]
    assert matrix['classes'][: len(classes)] == classes
    counts = np.array(matrix['matrix'])
    assert counts.shape == (len(matrix['classes']),) * 2
    assert f'{np.trace(counts) / counts.sum():.1%} of {counts.sum():,} {matrix["counted"]} right' in printed
    first = matrix['most_confused'][0]
    assert f'{first["truth"]} → {first["predicted"]}: {first["count"]:,}' in printed
    assert cv2.imread(str(out / 'confusion.png')).shape[1] > 1000
    table = json.loads((out / 'worst.json').read_text())['images']
    assert [entry['rank'] for entry in table] == [1, 2]
    assert table[0]['score'] <= table[1]['score']
    for entry in table:
        assert cv2.imread(str(out / entry['drawn'])).shape[1] >= 2 * 320
        assert f'{entry["score"]:.3f} {entry["file_name"]}: {entry["why"]}' in printed
    assert not list(out.rglob('*.unfinished'))
    if task == 'classification':
        kept = out / 'worst' / 'mine.png'
        kept.write_bytes(b'mine')
        code, printed = call('mistakes', *arguments, '--worst', 1, '--out-dir', out.name)
        assert code
        assert 'confusion.json' in printed
        assert '--overwrite' in printed
        assert not call('mistakes', *arguments, '--worst', 1, '--overwrite')[0]
        assert len(list(kept.parent.iterdir())) == 2
        assert kept.read_bytes() == b'mine'


def test_what_means_nothing_is_refused_before_anything_is_computed(call, work_dirs, tmp_path):
    (tmp_path / 'file').touch()
    for arguments, words in (
        (['--batch-size', 0], '--batch-size 0: expected at least 1'),
        (['--worst', -1], '--worst -1: expected at least 0'),
        (['--score-thr', 2], 'score_thr=2.0: expected a score from 0 to 1'),
        (['--out-dir', tmp_path / 'file' / 'below'], 'cannot be written'),
    ):
        code, printed = call('mistakes', work_dirs['detection'], *arguments)
        assert code
        assert printed.startswith('mistakes: ')
        assert words in printed
    for content in ('{"images": [', '[]', '{"images": [{"file_name": "a.jpg"}]}'):
        (tmp_path / 'worst.json').write_text(content)
        with pytest.raises(UserError, match=r'worst\.json is no table of this command'):
            check_folder(tmp_path, overwrite=True)
        assert (tmp_path / 'worst.json').read_text() == content


def test_a_matrix_of_any_size_is_a_picture_of_a_screen_or_a_few():
    random = np.random.default_rng(0)
    for number in (2, 10, 80, 161, 1000):
        confusion = Confusion([f'class {i}' for i in range(number)], 'images')
        confusion.add(random.integers(0, number, 500), random.integers(0, number, 500))
        inches = draw_confusion(confusion).get_size_inches()
        assert min(inches) >= 6
        assert max(inches) <= 40
    confusion = Confusion(['cat', 'dog'], 'images')
    confusion.add(np.array([0, 1]), np.array([0, 1]))
    assert draw_confusion(confusion).axes[-1].texts[0].get_text() == 'nothing is confused'
