"""The README's first commands do what the README says."""

import re
import sys
from importlib.metadata import distributions

import cv2
import pytest

from .. import processes

pytestmark = [pytest.mark.slow, pytest.mark.demo]


def make(target, work_dir):
    """Make a demo; return what it printed."""
    installed = {distribution.metadata['Name'] for distribution in distributions()}
    hosts = 'maintained' if 'onedl-mmcv' in installed else 'upstream'
    command = ['make', target, f'WORK_DIR={work_dir}', f'VENV={sys.prefix}', f'HOSTS={hosts}']
    run = processes.run(command, timeout=1200)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert '[install]' not in run.stdout, 'the second make of an environment must install nothing'
    return run.stdout


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    return tmp_path_factory.mktemp('demo')


@pytest.fixture(scope='module')
def demo(work_dir):
    return make('demo', work_dir)


def test_make_demo_reaches_its_scores_and_draws_its_predictions(demo, work_dir):
    """Top-1 of 97 %, bbox mAP of 0.70 and segm mAP of 0.74 or better, on scans not seen in training."""
    (top1,) = re.findall(r'Epoch\(val\).*accuracy/top1: ([\d.]+)', demo)
    assert float(top1) >= 97
    assert 'layout of mmgcvit' in demo, 'the detector starts from the classifier'
    (tested,) = re.findall(r'Epoch\(test\).*coco/bbox_mAP: ([\d.]+).*coco/segm_mAP: ([\d.]+)', demo)
    assert float(tested[0]) >= 0.70
    assert float(tested[1]) >= 0.74
    pictures = sorted((work_dir / 'predictions').iterdir())
    assert len(pictures) == 80
    assert cv2.imread(str(pictures[0])).shape == (256, 512, 3)


@pytest.mark.usefixtures('demo')
def test_make_demo_seg_takes_the_classifier_and_reaches_its_score(work_dir):
    """An mIoU of 50 % or better over background and ten digits."""
    output = make('demo-seg', work_dir)
    assert 'accuracy/top1' not in output, 'the classifier is there already'
    assert 'layout of mmgcvit' in output, 'the segmentor starts from the classifier'
    (miou,) = re.findall(r'Iter\(test\).*mIoU: ([\d.]+)', output)
    assert float(miou) >= 50
    assert len(list((work_dir / 'segmentations').rglob('*.png'))) == 80
