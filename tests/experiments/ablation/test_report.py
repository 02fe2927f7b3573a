"""Mean and deviation, in Markdown and as a picture."""

import statistics

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.experiments.ablation import plot
from mmgcvit.experiments.ablation.plot import check_can_draw, draw
from mmgcvit.experiments.ablation.report import Summary, markdown, scores_of, summary
from mmgcvit.experiments.ablation.runs import runs_of
from mmgcvit.experiments.ablation.tables import TableError

from .made import finish, made_table

SCORES = st.lists(st.floats(0, 100), min_size=2, max_size=9)


def test_the_deviation_is_that_of_a_sample():
    """2, 4 and 6 deviate by 2; divided by n instead of n - 1 it were 1.63."""
    assert summary([2.0, 4.0, 6.0]) == Summary(4, 2)
    assert str(summary([2.0, 4.0, 6.0])) == '4.00 ± 2.00'


def test_a_single_score_has_no_deviation_and_none_no_summary():
    assert str(summary([90.125])) == '90.12'
    assert summary([]) is None


@given(SCORES, st.floats(-50, 50))
def test_the_deviation_does_not_depend_on_the_mean(scores, offset):
    moved = summary([score + offset for score in scores])
    assert moved.deviation == pytest.approx(summary(scores).deviation, abs=1e-6)
    assert moved.mean == pytest.approx(statistics.mean(scores) + offset, abs=1e-6)


@pytest.fixture
def half_done(tmp_path):
    """A table of two rows whose second seed is not complete, with published scores."""
    table = made_table('a', 'b', metrics=('box AP', 'mask AP'), published=(44.0, 40.25))
    runs = runs_of(table, 2, tmp_path)
    for run, score in zip(runs[:3], (1.0, 5.0, 3.0), strict=True):
        finish(run, score, score + 10, metrics=table.metrics)
    return table, scores_of(table, runs)


def test_scores_are_those_of_finished_trainings_by_row(half_done):
    _, scores = half_done
    assert scores == {
        'a': {'box AP': [1, 3], 'mask AP': [11, 13]},
        'b': {'box AP': [5], 'mask AP': [15]},
    }


def test_the_table_has_a_line_a_row_with_seeds_and_published_scores(half_done):
    text = markdown(*half_done, note='A note.')
    assert '| row | seeds | box AP | box AP, published | mask AP | mask AP, published |\n' in text
    assert '| row a | 2 | 2.00 ± 1.41 | 44 | 12.00 ± 1.41 | 40.25 |\n' in text
    assert '| row b | 1 | 5.00 | 44 | 15.00 | 40.25 |\n' in text
    assert text.endswith('\n\nA note.\n')


def test_a_row_without_a_training_or_a_published_score_has_empty_cells(tmp_path):
    table = made_table('a')
    assert '| row a | 0 |  |  |' in markdown(table, scores_of(table, runs_of(table, 1, tmp_path)), '')


@pytest.mark.parametrize('same_scale', [True, False])
def test_the_plot_has_a_panel_for_what_is_not_of_the_same_scale(same_scale, half_done, tmp_path):
    draw(tmp_path / 'table.png', *half_done, same_scale)
    height, width = cv2.imread(str(tmp_path / 'table.png')).shape[:2]
    assert width > (1000 if same_scale else 1600)
    assert height > 200


def test_without_matplotlib_it_is_said_before_hours_of_training(monkeypatch):
    monkeypatch.setattr(plot, 'find_spec', lambda name: None)
    with pytest.raises(TableError, match='pip install'):
        check_can_draw()
