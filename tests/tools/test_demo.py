"""The README's first command does what the README says."""

import re
import subprocess

import cv2
import pytest

from ..conftest import ROOT


@pytest.mark.slow
def test_make_demo_reaches_its_scores_and_draws_its_predictions(tmp_path):
    """Top-1 of 97 %, bbox mAP of 0.70 and segm mAP of 0.74 or better, on scans not seen in training."""
    command = ['make', 'demo', f'WORK_DIR={tmp_path}']
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert '[install]' not in run.stdout, 'the second make of an environment must install nothing'
    (top1,) = re.findall(r'Epoch\(val\).*accuracy/top1: ([\d.]+)', run.stdout)
    assert float(top1) >= 97
    assert 'layout of mmgcvit' in run.stdout, 'the detector starts from the classifier'
    (tested,) = re.findall(r'Epoch\(test\).*coco/bbox_mAP: ([\d.]+).*coco/segm_mAP: ([\d.]+)', run.stdout)
    assert float(tested[0]) >= 0.70
    assert float(tested[1]) >= 0.74
    pictures = sorted((tmp_path / 'predictions').iterdir())
    assert len(pictures) == 80
    assert cv2.imread(str(pictures[0])).shape == (256, 512, 3)
