"""The logged scalars of a run are read as one curve over all its sessions, and plotted by ``mmgcvit
plot``.
"""

import math

import pytest

from mmgcvit.commands.plot import draw_curves, read_curves
from mmgcvit.errors import UserError

from .conftest import iteration, validation, write_session


def test_a_resumed_session_replaces_the_steps_that_it_trains_again(tmp_path):
    """The incomplete last line of a killed run is skipped."""
    first = [
        iteration(10, 3.0),
        validation(1, acc=0.1),
        iteration(20, 2.0),
        iteration(30, 9.0),
        validation(2, acc=0.9),
    ]
    write_session(tmp_path, '20260101_000000', first, end='\n{"lr": 0.1, "los')
    write_session(tmp_path, '20260102_000000', [iteration(20, 2.5), validation(2, acc=0.2)])
    curves = read_curves(tmp_path)
    assert curves['loss'] == {10: 3.0, 20: 2.5}
    assert curves['acc'] == {1: 0.1, 2: 0.2}


def test_detailed_scores_are_drawn_only_if_requested(tmp_path):
    entries = [iteration(1), validation(1, **{'coco/bbox_mAP': 0.3, 'coco/bbox_mAP_50': 0.5})]
    runs = {
        name: read_curves(write_session(tmp_path / name, '20260101_000000', entries))
        for name in 'ab'
    }
    panels = {axes.get_title(): axes for axes in draw_curves(runs).axes}
    assert set(panels) == {'lr', 'loss', 'coco/bbox_mAP'}
    assert [panels[key].get_xlabel() for key in ('loss', 'coco/bbox_mAP')] == ['iteration', 'epoch']
    assert all(len(axes.lines) == 2 for axes in panels.values())
    assert [axes.get_title() for axes in draw_curves(runs, ['coco/bbox_mAP_50']).axes] == [
        'coco/bbox_mAP_50'
    ]
    with pytest.raises(
        UserError, match=r'no run has logged loss_box\. Choose among coco/bbox_mAP, '
    ):
        draw_curves(runs, ['loss_box'])


def test_the_plot_command_draws_the_curves(call, tmp_path):
    """A name with $ is not a formula."""
    entries = [
        iteration(1),
        validation(1, **{'$_$x_{': 0.9}),
        iteration(2, math.nan, epoch=2),
        validation(2, acc=0.8),
    ]
    run = write_session(tmp_path / 'run', '20260101_000000', entries)
    assert call('plot', run)[1].endswith(f'curves: {run / "curves.png"}\n')
    assert (run / 'curves.png').is_file()
    assert 'has no training logs' in call('plot', tmp_path)[1]
    assert (
        'expected a name that ends in .png, .pdf, .svg or .jpg'
        in call('plot', run, '--out', 'curves.txt')[1]
    )
