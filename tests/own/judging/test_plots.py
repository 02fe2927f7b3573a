"""Plots show the numbers that they are given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgcvit.own.judging.detection_curves import AveragePrecision, Curve, DetectionCurves
from mmgcvit.own.judging.plots import (
    MAX_COUNT,
    MAX_IN_LEGEND,
    MAX_WITH_NUMBERS,
    draw_confusion_matrix,
    draw_detection_curves,
)
from mmgcvit.predict.thresholds import ScoreThresholds


def read_texts(axes):
    """Return the texts in the cells of a plot, by (row, column)."""
    return {text.get_position()[::-1]: text.get_text() for text in axes.texts}


@settings(max_examples=8)
@given(data=st.data())
def test_a_confusion_matrix_has_counts_as_text_and_shares_of_rows_as_colours(data):
    """``totals`` may be above the sums of the rows: a row of zeros is not divided by 0. Counts that
    are not 0 are written, as percentages if one of them has over four digits.
    """
    side = data.draw(st.integers(1, 4))
    counts = st.integers(0, 30) | st.integers(MAX_COUNT - 1, MAX_COUNT + 2)
    values = data.draw(st.lists(counts, min_size=side**2, max_size=side**2))
    matrix = np.reshape(values, (side, side))
    totals = matrix.sum(1) + data.draw(st.integers(0, 5))
    names = [f'class {index}' for index in range(side)]
    figure = draw_confusion_matrix(matrix, totals, names, 'objects')
    axes = figure.axes[0]
    (image,) = axes.images
    shares = image.get_array()
    expected = {}
    for row in range(side):
        for column in range(side):
            count = int(matrix[row, column])
            share = count / totals[row] if totals[row] else 0
            assert shares[row, column] == pytest.approx(share)
            if count and max(values) <= MAX_COUNT:
                expected[row, column] = f'{count:,}'
            elif count:
                expected[row, column] = f'{share:.0%}'
    assert read_texts(axes) == expected
    assert [label.get_text() for label in axes.get_xticklabels()] == names
    assert (axes.get_xlabel(), axes.get_ylabel()) == ('predicted', 'ground truth')


def test_numbers_are_white_on_dark_cells_and_black_on_bright_ones():
    matrix = np.array([[9, 1], [4, 6]])
    texts = draw_confusion_matrix(matrix, matrix.sum(1), ['a', 'b'], 'objects').axes[0].texts
    assert [text.get_color() for text in texts] == ['white', 'black', 'black', 'white']


@pytest.mark.parametrize('side', [MAX_WITH_NUMBERS, MAX_WITH_NUMBERS + 1])
def test_a_confusion_matrix_of_many_classes_has_no_numbers(side):
    matrix = np.eye(side, dtype=np.int64)
    figure = draw_confusion_matrix(matrix, matrix.sum(1), ['a'] * side, 'objects')
    assert len(figure.axes[0].texts) == (side if side <= 25 else 0)


def make_curves(num_classes):
    """Return curves of classes that are all alike: three detections of four objects, two right."""
    curve = Curve(
        scores=np.array([0.9, 0.6, 0.5]),
        num_detections=np.array([1, 2, 3]),
        num_correct=np.array([1, 1, 2]),
        num_objects=4,
    )
    ap = np.full(num_classes, 0.5)
    boxes = AveragePrecision(ap, ap)
    return DetectionCurves(curve, [curve] * num_classes, matches=[], boxes=boxes, masks=None)


def test_curves_have_recall_by_objects_and_lines_at_the_thresholds():
    """Dots are at the thresholds of single classes. All numbers are worked out by hand."""
    thresholds = ScoreThresholds(0.3, {'dog': 0.7})
    figure = draw_detection_curves(make_curves(2), ['cat', 'dog'], thresholds)
    left, right = figure.axes
    for line in left.get_lines():
        np.testing.assert_allclose(line.get_xdata(), [1 / 4, 1 / 4, 2 / 4])
        np.testing.assert_allclose(line.get_ydata(), [1, 1 / 2, 2 / 3])
    found = right.get_lines()
    curves = [line for line in found if len(line.get_xdata()) > 2]
    assert len(curves) == 3
    for line in curves:
        np.testing.assert_allclose(line.get_xdata(), [0.9, 0.6, 0.5, 0])
        np.testing.assert_allclose(line.get_ydata(), [2 / 5, 2 / 6, 4 / 7, 4 / 7])
    (dot,) = [line for line in found if len(line.get_xdata()) == 1]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (0.7, 2 / 5)
    assert dot.get_color() == curves[2].get_color()
    # F1 is highest from 0 to 0.5.
    lines = {
        line.get_linestyle(): line.get_xdata()[0] for line in found if line.get_label()[0] in 'ht'
    }
    assert lines == {':': 0.25, '--': 0.3}


@pytest.mark.parametrize('num_classes', [MAX_IN_LEGEND, MAX_IN_LEGEND + 1])
def test_curves_of_many_classes_have_no_legend(num_classes):
    classes = [f'class {index}' for index in range(num_classes)]
    figure = draw_detection_curves(make_curves(num_classes), classes, ScoreThresholds(0.3))
    assert (figure.axes[0].get_legend() is not None) == (num_classes <= 12)
