"""The demos of the README reach their scores."""

import argparse
import re
import subprocess
import sys
from importlib.metadata import distributions

import cv2
import mmseg
import pytest

from mmgcvit.commands import demo as demos

from .. import programs
from .commands import call

pytestmark = pytest.mark.demo


def make(target, work_dir):
    """Run a demo with make and return its output."""
    installed = {distribution.metadata['Name'] for distribution in distributions()}
    distribution = 'maintained' if 'onedl-mmcv' in installed else 'upstream'
    command = ['make', target, f'WORK_DIR={work_dir}', f'VENV={sys.prefix}', f'OPENMMLAB={distribution}']
    run = programs.run(command, timeout=3600, stderr=subprocess.STDOUT)
    assert run.returncode == 0, run.stdout[-3000:]
    assert '[install]' not in run.stdout, 'the second make of an environment must install nothing'
    return run.stdout


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    return tmp_path_factory.mktemp('demo')


def row_of(output, score):
    """Return the cells for a score in the table at the end: expected, reached, minutes."""
    (cells,) = re.findall(rf'{score}\s*│(.*)│', output)
    return [cell.strip() for cell in cells.split('│')]


def test_make_demo_reaches_its_scores_and_draws_predictions(work_dir):
    """The box mAP and mask mAP are at least 0.75, on scans that are not in the training data."""
    output = make('demo', work_dir)
    for score in ('box mAP', 'mask mAP'):
        expected, reached, _ = row_of(output, score)
        assert expected == '≥ 0.75'
        assert float(reached) >= 0.75
    log = min((work_dir / 'detector').glob('*/*.log')).read_text()
    assert 'mmgcvit keys' in log, 'the detector starts from the classifier'
    (grid,) = (work_dir / 'detector' / 'val_images').iterdir()
    assert str(grid.parent) in output
    assert cv2.imread(str(grid)).shape[1] > 1000


SEGMENTS = pytest.mark.skipif(mmseg.__version__ == '1.2.2', reason='it cannot weight classes with unlabelled pixels')


@pytest.mark.parametrize(
    ('task', 'unit', 'length', 'least'),
    [pytest.param('segment', 'iters', 200, 25, marks=SEGMENTS), ('classify', 'epochs', 3, 80)],
)
def test_other_demos_learn_in_a_quarter_of_their_time(task, unit, length, least, work_dir, monkeypatch):
    """``least`` is an mIoU in percent (predicting only background gives 8) or an accuracy; lower scores fail."""
    shorter = [f'train_cfg.max_{unit}={length}', f'train_cfg.val_interval={length}', f'param_scheduler.1.end={length}']

    def run(name, *options):
        if name == 'train':
            options = [*options, *(() if '--cfg-options' in options else ('--cfg-options',)), *shorter]
        call('', '-m', 'mmgcvit', name, *options)

    model = demos.MODELS[task]
    monkeypatch.setitem(demos.MODELS, task, model._replace(min_scores=dict.fromkeys(model.min_scores, least)))
    monkeypatch.setattr(demos, 'run_in_new_process', run)
    assert demos.main(argparse.Namespace(task=task, work_dir=work_dir)) is None
