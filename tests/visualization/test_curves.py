"""What a run has logged is read as one, over all sessions in which it was trained, and drawn as it was logged."""

import math

import pytest

from mmgcvit.errors import UserError
from mmgcvit.visualization.curves import MEDIANS, draw_curves, finite, latest_entry, medians, panels_of, read_run

from .conftest import iteration, validation, write_session


def test_losses_go_by_iterations_and_scores_by_epochs_unless_runs_do_not(tmp_path):
    entries = [iteration(10, 3.0), iteration(20, 2.0), validation(1, acc=0.5), iteration(30, 1.0, epoch=2)]
    run = read_run(write_session(tmp_path / 'run', '20260101_000000', entries))
    assert run.name == 'run'
    assert run.training['loss'] == {10: 3.0, 20: 2.0, 30: 1.0}
    assert set(run.scores) == {'acc'}
    assert run.scores['acc'] == {1: 0.5}
    assert (run.iterations, run.epochs, run.scores_by) == (30, 2, 'epoch')
    entries = [iteration(500), validation(500, mIoU=40.0), iteration(1000), validation(1000, mIoU=41.0)]
    assert read_run(write_session(tmp_path / 'other', '20260101_000000', entries)).scores_by == 'iteration'


def test_a_resumed_session_replaces_what_was_lost_of_the_one_before(tmp_path):
    """Iterations and validations after the checkpoint were trained twice: the second time counts."""
    first = [iteration(10, 3.0), validation(1, acc=0.1), iteration(20, 2.0), iteration(30, 9.0), validation(2, acc=0.9)]
    write_session(tmp_path, '20260101_000000', first)
    write_session(tmp_path, '20260102_000000', [iteration(20, 2.5), validation(2, acc=0.2)])
    run = read_run(tmp_path)
    assert run.training['loss'] == {10: 3.0, 20: 2.5}
    assert run.scores['acc'] == {1: 0.1, 2: 0.2}


def test_a_line_that_a_killed_run_left_unfinished_is_passed_over(tmp_path):
    entries = [iteration(10, math.nan), validation(1, acc=0.5), iteration(20, 2.0)]
    run = read_run(write_session(tmp_path, '20260101_000000', entries, end='\n{"lr": 0.1, "los'))
    assert run.iterations == 20
    assert finite(run.training['loss']) == {20: 2.0}
    assert latest_entry(tmp_path, 'acc') == {'acc': 0.5, 'data_time': 0.1, 'time': 0.2, 'step': 1}


@pytest.fixture
def runs(tmp_path):
    for name in 'ab':
        training = [iteration(i, 1 / i, loss_mask=0.1, loss_cls=0.2, grad_norm=1.0) for i in range(1, 9)]
        scores = [validation(1, **{'coco/bbox_mAP': 0.3, 'coco/bbox_mAP_50': 0.5})]
        write_session(tmp_path / name, '20260101_000000', training + scores)
    return [read_run(tmp_path / name) for name in 'ab']


def test_several_runs_share_each_panel_and_one_shows_the_parts_of_its_loss_too(runs):
    panels = panels_of(runs, ())
    assert [panel.title for panel in panels] == ['loss', 'grad_norm', 'lr', 'coco/bbox_mAP']
    assert all([run for run, _, _ in panel.curves] == runs for panel in panels)
    titles = [panel.title for panel in panels_of(runs[:1], ())]
    assert titles == ['loss', 'parts of the loss', 'grad_norm', 'lr', 'coco/bbox_mAP']


def test_a_picture_of_the_chosen_quantities_is_written(runs, tmp_path):
    for ending in ('png', 'pdf', 'svg'):
        file = tmp_path / f'curves.{ending}'
        draw_curves(runs, ['loss_mask', 'coco/bbox_mAP_50'], file)
        assert file.stat().st_size > 1000
    assert not list(tmp_path.glob('*.unfinished'))


def test_what_cannot_be_drawn_is_refused_with_what_to_do(runs, tmp_path):
    (tmp_path / 'empty').mkdir()
    for function, message in (
        (lambda: read_run(tmp_path / 'nowhere'), 'there is no folder'),
        (lambda: read_run(tmp_path / 'empty'), 'its training has logged nothing yet'),
        (lambda: read_run(tmp_path), 'it holds the runs a, b'),
        (lambda: draw_curves(runs, [], tmp_path / 'curves.txt'), r'written as \.png, \.pdf, \.svg or \.jpg'),
        (
            lambda: draw_curves(runs, ['loss', 'loss_box'], tmp_path / 'curves.png'),
            r'no run has logged loss_box; what they have: .*coco/bbox_mAP, .*loss_mask',
        ),
    ):
        with pytest.raises(UserError, match=message):
            function()


def test_a_long_curve_is_drawn_with_its_medians_and_what_is_not_finite_is_marked(tmp_path):
    entries = [iteration(i, math.nan if i == 7 else 1 / i) for i in range(1, 4 * MEDIANS)]
    run = read_run(write_session(tmp_path / 'run', '20260101_000000', entries))
    draw_curves([run], ['loss'], tmp_path / 'curves.svg')
    assert 'iteration  (x: not finite)' in (tmp_path / 'curves.svg').read_text()
    middles, drawn = medians(list(range(1000)), [float(step) for step in range(1000)])
    assert len(middles) <= MEDIANS
    assert drawn == pytest.approx(middles, abs=0.5)
    assert middles[0] < 25
    assert middles[-1] > 975
