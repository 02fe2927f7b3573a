"""The README's first commands do what the README says."""

import re
import subprocess
import sys
from importlib.metadata import distributions

import cv2
import mmseg
import pytest

from mmgcvit.visualization.sheets import GAP, SMALLEST

from .. import programs

pytestmark = [pytest.mark.slow, pytest.mark.demo]


def make(target, work_dir):
    """Make a demo; return what it printed."""
    installed = {distribution.metadata['Name'] for distribution in distributions()}
    hosts = 'maintained' if 'onedl-mmcv' in installed else 'upstream'
    command = ['make', target, f'WORK_DIR={work_dir}', f'VENV={sys.prefix}', f'HOSTS={hosts}']
    run = programs.run(command, timeout=3600, stderr=subprocess.STDOUT)
    assert run.returncode == 0, run.stdout[-3000:]
    assert '[install]' not in run.stdout, 'the second make of an environment must install nothing'
    return run.stdout


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    return tmp_path_factory.mktemp('demo')


@pytest.fixture(scope='module')
def demo(work_dir):
    return make('demo', work_dir)


def row_of(output, score):
    """What the table at the end says of a score: expected, reached, minutes."""
    (cells,) = re.findall(rf'{score}\s*│(.*)│', output)
    return [cell.strip() for cell in cells.split('│')]


def log_of(work_dir):
    """What the first run in a work dir did not show."""
    return min(work_dir.glob('console_*.log')).read_text()


def test_make_demo_reaches_its_scores_and_draws_its_predictions(demo, work_dir):
    """Top-1 of 97 %, bbox mAP and segm mAP of 0.75 or better, on scans not seen in training."""
    for score, least in (('top-1 accuracy, %', 97), ('box mAP', 0.75), ('mask mAP', 0.75)):
        expected, reached, _ = row_of(demo, score)
        assert expected == f'≥ {least}'
        assert float(reached) >= least
    assert 'layout of mmgcvit' in log_of(work_dir / 'detector'), 'the detector starts from the classifier'
    pictures = sorted((work_dir / 'predictions').iterdir())
    assert str(work_dir / 'predictions') in demo
    assert len(pictures) == 80
    assert cv2.imread(str(pictures[0])).shape[1] == 2 * SMALLEST + GAP


def test_make_demo_shows_what_one_wants_to_see_and_leaves_the_rest_to_its_logs(demo):
    """Four steps, losses, scores and time left, in lines that fit a screen; no warning."""
    for step in range(1, 5):
        assert f'\n{step} of 4  ' in demo
    assert len(re.findall(r'epoch (\d+) of \1: loss \d', demo)) == 2, 'classifier and detector'
    assert re.search(r'training: \d+ of \d+, 0:\d\d:\d\d left, loss', demo)
    assert not re.search('warn|Could not|deprecat', demo, re.IGNORECASE)
    assert max(len(line) for line in demo.splitlines() if '/' not in line) <= 100
    # The most are lines of progress, one every ten seconds where there is no terminal; a conclusion has six.
    lines = [line for line in demo.splitlines() if not re.match(r'(training|testing|validating): ', line)]
    assert len(re.findall('^next:$', demo, re.MULTILINE)) == 2
    assert len(lines) <= 50 + 2 * 6


@pytest.mark.skipif(mmseg.__version__ == '1.2.2', reason='it weighs no classes beside pixels without a label')
@pytest.mark.usefixtures('demo')
def test_make_demo_seg_takes_the_classifier_and_reaches_its_score(work_dir):
    """An mIoU of 50 % or better over background and ten digits."""
    output = make('demo-seg', work_dir)
    assert 'trained already' in output
    assert 'epoch 1 of' not in output, 'a segmentor counts iterations'
    assert 'layout of mmgcvit' in log_of(work_dir / 'segmentor'), 'the segmentor starts from the classifier'
    _, reached, _ = row_of(output, 'mIoU, %')
    assert float(reached) >= 50
    pictures = work_dir / 'segmentations'
    assert str(pictures) in output
    assert len(list(pictures.glob('*.jpg'))) == 80
