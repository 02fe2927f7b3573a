"""Curves show what was logged: a panel for each quantity, a line for each run."""

import math

import pytest

from mmgcvit.visualization.curves import MEDIANS, draw_curves, medians, panels_by_default, read_run

from .written import iteration, validation, write_session


@pytest.fixture
def runs(tmp_path):
    for name in 'ab':
        training = [iteration(i, 1 / i, loss_mask=0.1, loss_cls=0.2, grad_norm=1.0) for i in range(1, 9)]
        scores = [validation(1, **{'coco/bbox_mAP': 0.3, 'coco/bbox_mAP_50': 0.5})]
        write_session(tmp_path / name, '20260101_000000', training + scores)
    return [read_run(tmp_path / name) for name in 'ab']


def test_one_run_shows_the_parts_of_its_loss_too(runs):
    titles = [panel.title for panel in panels_by_default(runs[:1])]
    assert titles == ['loss', 'parts of the loss', 'grad_norm', 'lr', 'coco/bbox_mAP']


def test_several_runs_share_each_panel(runs):
    panels = panels_by_default(runs)
    assert [panel.title for panel in panels] == ['loss', 'grad_norm', 'lr', 'coco/bbox_mAP']
    assert all([run for run, _, _ in panel.curves] == runs for panel in panels)


@pytest.mark.parametrize('ending', ['png', 'pdf', 'svg'])
def test_a_picture_of_the_chosen_quantities_is_written(runs, tmp_path, ending):
    file = tmp_path / f'curves.{ending}'
    draw_curves(runs, ['loss_mask', 'coco/bbox_mAP_50'], file)
    assert file.stat().st_size > 1000


def test_what_nobody_logged_is_refused_with_what_there_is(runs, tmp_path):
    with pytest.raises(match=r'no run has logged loss_box; what they have: .*coco/bbox_mAP, .*loss_mask'):
        draw_curves(runs, ['loss', 'loss_box'], tmp_path / 'curves.png')


def test_other_endings_are_refused(runs, tmp_path):
    with pytest.raises(match=r'written as \.png, \.pdf, \.svg or \.jpg'):
        draw_curves(runs, [], tmp_path / 'curves.txt')


def test_a_long_curve_is_drawn_with_its_medians_and_what_is_not_finite_is_marked(tmp_path):
    numbers = range(1, 4 * MEDIANS)
    entries = [iteration(i, math.nan if i == 7 else 1 / i) for i in numbers]
    run = read_run(write_session(tmp_path / 'run', '20260101_000000', entries))
    draw_curves([run], ['loss'], tmp_path / 'curves.svg')
    drawn = (tmp_path / 'curves.svg').read_text()
    assert 'iteration  (x: not finite)' in drawn


def test_medians_cover_a_whole_curve():
    steps, values = list(range(1000)), [float(step) for step in range(1000)]
    middles, drawn = medians(steps, values)
    assert len(middles) <= MEDIANS
    assert drawn == pytest.approx(middles, abs=0.5)
    assert middles[0] < 25
    assert middles[-1] > 975
