"""Plots show the numbers that they are given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgcvit.evaluation.plots import MAX_COUNT, MAX_WITH_NUMBERS, draw_confusion_matrix


def read_texts(axes):
    """Return the texts in the cells of a plot, by (row, column)."""
    return {text.get_position()[::-1]: text.get_text() for text in axes.texts}


@settings(max_examples=8, deadline=None)
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


@pytest.mark.parametrize('side', [MAX_WITH_NUMBERS, MAX_WITH_NUMBERS + 1])
def test_a_confusion_matrix_of_many_classes_has_no_numbers(side):
    matrix = np.eye(side, dtype=np.int64)
    figure = draw_confusion_matrix(matrix, matrix.sum(1), ['a'] * side, 'objects')
    assert len(figure.axes[0].texts) == (side if side <= 25 else 0)
