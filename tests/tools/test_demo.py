"""The demos of the README reach their scores.

Modules: `configs/demo`.
"""

import sys
from importlib.metadata import distributions

import cv2
import pytest

from mmgcvit.commands.plot import read_curves

from ..programs import run
from .commands import DEMO, call, output_of

pytestmark = pytest.mark.demo


def read_last_score(work_dir, key):
    (curve,) = [values for (name, _), values in read_curves(work_dir).items() if name == key]
    return curve[max(curve)]


@pytest.mark.gpu
def test_make_demo_reaches_its_scores_and_draws_predictions(tmp_path):
    """The box mAP and mask mAP are at least 0.75, on scans that are not in the training data."""
    installed = {distribution.metadata['Name'] for distribution in distributions()}
    distribution = 'maintained' if 'onedl-mmcv' in installed else 'upstream'
    settings = [f'WORK_DIR={tmp_path}', f'VENV={sys.prefix}', f'OPENMMLAB={distribution}']
    output = output_of(run(['make', 'demo', *settings], timeout=3600), False)
    assert '[install]' not in output, 'the second make of an environment must install nothing'
    work_dir = tmp_path / 'detector'
    assert f'mmgcvit predict {work_dir} YOUR_PICTURES' in output
    for kind in ('bbox', 'segm'):
        assert read_last_score(work_dir, f'coco/{kind}_mAP') >= 0.75
    log = min(work_dir.glob('*/*.log')).read_text()
    assert 'mmgcvit keys' in log, 'the detector starts from the classifier'
    (grid,) = (work_dir / 'val_images').iterdir()
    assert cv2.imread(str(grid)).shape[1] > 1000


@pytest.mark.parametrize(
    ('name', 'unit', 'length', 'score', 'least'),
    [
        ('upernet_gcvit_digits', 'iters', 200, 'mIoU', 25),
        ('gcvit_digits_cls', 'epochs', 3, 'accuracy/top1', 80),
    ],
)
def test_other_demos_learn_in_a_quarter_of_their_time(name, unit, length, score, least, tmp_path):
    """``least`` is an mIoU in percent (predicting only background gives 8) or an accuracy."""
    run(['make', 'data/digits', f'VENV={sys.prefix}'], timeout=600)
    lengths = [f'train_cfg.max_{unit}', 'train_cfg.val_interval', 'param_scheduler.1.end']
    shorter = [f'{name}={length}' for name in lengths]
    call(
        '',
        '-m',
        'mmgcvit',
        'train',
        DEMO / f'{name}.py',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        *shorter,
    )
    assert read_last_score(tmp_path, score) >= least
