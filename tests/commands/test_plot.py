"""The logged scalars of a run are read as one curve over all its sessions, and plotted by ``mmgcvit
plot``.
"""

import json
import math

import pytest

from mmgcvit.commands.plot import draw_curves, read_curves
from mmgcvit.errors import UserError


def iteration(step, loss=1.0):
    """Return what mmengine logs for an iteration."""
    return {'lr': 1e-4, 'time': 0.2, 'loss': loss, 'epoch': 1, 'iter': step, 'step': step}


def validation(step, **scores):
    """Return what mmengine logs for a validation."""
    return {**scores, 'time': 0.2, 'step': step}


def write_session(path, *entries, name='20260101_000000', end='\n'):
    """Write the logs of a work dir as mmengine's local backend does, and return the work dir."""
    folder = path / name / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, entries)) + end)
    return path


def test_a_resumed_session_replaces_the_steps_that_it_trains_again(tmp_path):
    """The incomplete last line of a killed run is skipped."""
    trained = [iteration(10, 3.0), iteration(20, 2.0)]
    lost = iteration(30, 9.0)
    scores = [validation(1, acc=0.1), validation(2, acc=0.9)]
    write_session(tmp_path, *trained, lost, *scores, end='\n{"lr": 0.1, "los')
    resumed = [iteration(20, 2.5), validation(2, acc=0.2)]
    write_session(tmp_path, *resumed, name='20260102_000000')
    curves = read_curves(tmp_path)
    assert curves['loss', 'iteration'] == {10: 3.0, 20: 2.5}
    assert curves['acc', 'epoch'] == {1: 0.1, 2: 0.2}


@pytest.mark.parametrize(
    ('resume', 'epochs'), [(False, [2, 4]), (True, [1, 2, 4]), (None, [1, 2, 4])]
)
def test_a_run_that_started_anew_is_not_joined_with_the_one_before(resume, epochs, tmp_path):
    """As after --overwrite, where the removed run has validated each epoch. Without a config, as of
    other programs, sessions are joined.
    """
    write_session(tmp_path, iteration(10), *[validation(epoch, acc=0.9) for epoch in (1, 2, 3)])
    name = '20260102_000000'
    write_session(
        tmp_path, iteration(10), validation(2, acc=0.1), validation(4, acc=0.2), name=name
    )
    if resume is not None:
        config = tmp_path / name / 'vis_data' / 'config.py'
        config.write_text(f'max_epochs = 4\nresume = {resume}\n')
    assert [*read_curves(tmp_path)['acc', 'epoch']] == epochs


def test_detailed_scores_are_drawn_only_if_requested(tmp_path):
    entries = [iteration(1), validation(1, **{'coco/bbox_mAP': 0.3, 'coco/bbox_mAP_50': 0.5})]
    runs = {name: read_curves(write_session(tmp_path / name, *entries)) for name in 'ab'}
    panels = {axes.get_title(): axes for axes in draw_curves(runs, []).axes}
    assert set(panels) == {'lr', 'loss', 'coco/bbox_mAP'}
    assert panels['loss'].get_xlabel() == 'iteration'
    assert panels['coco/bbox_mAP'].get_xlabel() == 'epoch'
    assert all(len(axes.lines) == 2 for axes in panels.values())
    (panel,) = draw_curves(runs, ['coco/bbox_mAP_50']).axes
    assert panel.get_title() == 'coco/bbox_mAP_50'
    message = r'no run has logged loss_box\. Choose among coco/bbox_mAP, '
    with pytest.raises(UserError, match=message):
        draw_curves(runs, ['loss_box'])


def test_the_legend_names_every_run():
    """Also one whose folder begins with an underscore."""
    curves = {('loss', 'iteration'): {1: 1.0, 2: 0.5}}
    (panel,) = draw_curves({'new': curves, '_old': curves}, []).axes
    assert [text.get_text().strip() for text in panel.get_legend().get_texts()] == ['new', '_old']


def test_the_plot_command_draws_the_curves(call, tmp_path):
    """A name with $ is not a formula, and NaN is a gap."""
    entries = [iteration(1), iteration(2, math.nan), validation(1, **{'$_$x_{': 0.9})]
    run = write_session(tmp_path / 'run', *entries)
    assert call('plot', run)[1].endswith(f'curves: {run / "curves.png"}\n')
    assert (run / 'curves.png').is_file()
    assert 'has no training logs' in call('plot', tmp_path)[1]
    message = 'expected a name that ends in .png, .pdf, .svg or .jpg'
    assert message in call('plot', run, '--out', 'curves.txt')[1]
