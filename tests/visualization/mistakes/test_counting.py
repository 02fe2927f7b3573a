"""What is counted: every truth once, every prediction once; the figures are those of the hosts' own metrics."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.inference import Classification, Detections, Segmentation
from mmgcvit.visualization.mistakes.confusion import Confusion, objects
from mmgcvit.visualization.mistakes.judging import TrueDetections, iou_of, judge, match

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
def test_objects_are_matched_one_to_one(there, found):
    pairs, missed, false = match(detections(found), true(there))
    assert sorted([*pairs[:, 0], *missed]) == list(range(len(there)))
    assert sorted([*pairs[:, 1], *false]) == list(range(len(found)))
    overlaps = iou_of(boxes_of(found), boxes_of(there))
    assert all(overlaps[number, truth] >= 0.5 for truth, number in pairs)


@given(OBJECTS, OBJECTS)
def test_rows_sum_to_the_objects_that_are_there_and_columns_to_those_found(there, found):
    confusion = objects(CLASSES)
    judge(true(there), detections(found), confusion)
    for label in range(len(CLASSES)):
        assert confusion.counts[label].sum() == sum(other == label for _, other in there)
        assert confusion.counts[:, label].sum() == sum(other == label for _, other in found)
    assert confusion.counts[-1, -1] == 0


@given(OBJECTS)
def test_what_is_there_found_again_is_without_mistakes(there):
    # Two objects in one place may be found in either order.
    confusion = objects(CLASSES)
    verdict = judge(true(there), detections(there), confusion)
    assert (verdict.score, verdict.mistakes, confusion.right) == (1.0, 0, 1.0 if there else 0.0)


def test_a_second_box_of_an_object_is_false():
    place = (0, 0, 4, 4)
    confusion = objects(CLASSES)
    verdict = judge(true([(place, 0)]), detections([(place, 0), (place, 0)]), confusion)
    assert confusion.counts[0, 0] == 1
    assert confusion.counts[-1, 0] == 1
    assert verdict.score == 2 / 3
    assert verdict.why == '1 of 1 found; 1 × cat where none is'


def test_the_right_class_comes_first_though_another_one_is_surer():
    place = (0, 0, 4, 4)
    pairs, _, false = match(detections([(place, 1), (place, 0)]), true([(place, 0)]))
    assert pairs.tolist() == [[0, 1]]
    assert false.tolist() == [0]


def test_another_class_in_the_same_place_is_taken_for_it():
    confusion = objects(CLASSES)
    verdict = judge(true([((0, 0, 4, 4), 0)]), detections([((0, 0, 4, 4), 1)]), confusion)
    assert confusion.counts[0, 1] == 1
    assert (verdict.score, verdict.why) == (0.0, '0 of 1 found; 1 × cat taken for dog')


def test_what_lies_in_a_crowd_does_not_count():
    verdict = judge(true([], crowds=[(0, 0, 9, 9)]), detections([((1, 1, 2, 2), 0)]), objects(CLASSES))
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
    assert all(wrong[pair.truth, pair.predicted] == pair.count for pair in most)
