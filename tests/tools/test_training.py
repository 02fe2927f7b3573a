"""Train and test each task with this project's scripts and with those of the OpenMMLab packages."""

import pickle
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest

from . import commands
from .commands import CONFIGS, NUM_VAL, TOOLS, call_in_shell, train

SCORES = {'detect': 'coco/segm_mAP:', 'segment': 'mIoU:', 'classify': 'accuracy/top5:'}
NUM_PICTURES = {'detect': NUM_VAL, 'segment': NUM_VAL, 'classify': 10}

pytestmark = pytest.mark.slow


def count_pictures(folder):
    """Return the number of images in a folder, all of which must be readable."""
    drawn = [path for path in folder.rglob('*') if path.suffix in ('.png', '.jpg')]
    assert all(cv2.imread(str(path)) is not None for path in drawn)
    return len(drawn)


def read_score(output, task):
    return float(re.findall(rf'{SCORES[task]} ([-\d.]+)', output)[-1])


def evaluate(digits, task, work_dir, *options, script=TOOLS / 'test.py'):
    files = [CONFIGS / f'{task}.py', (work_dir / 'last_checkpoint').read_text()]
    return commands.call(digits, script, *files, '--work-dir', work_dir, *options)


@pytest.mark.parametrize('task', SCORES)
def test_testing_reproduces_the_score_of_training_and_writes_predictions(task, digits, tmp_path):
    work_dir, out, pictures = (tmp_path / name for name in ('work', 'out.pkl', 'pictures'))
    training = train(digits, task, work_dir)
    assert 'eta:' in training
    assert f'mmgcvit predict {work_dir} YOUR_PICTURES' in training
    assert list((work_dir / 'val_images').glob('*.jpg'))
    output = evaluate(digits, task, work_dir, '--show-dir', pictures, '--out', out)
    assert read_score(output, task) == pytest.approx(read_score(training, task), abs=1e-3)
    assert len(pickle.loads(out.read_bytes())) == NUM_PICTURES[task]
    assert count_pictures(pictures) == NUM_PICTURES[task]
    if task == 'segment':
        assert 'mIoU:' in evaluate(digits, task, work_dir, '--tta')


@pytest.mark.long
@pytest.mark.parametrize(
    ('package', 'task'), [('mmdet', 'detect'), ('mmseg', 'segment'), ('mmpretrain', 'classify')]
)
def test_configs_train_test_and_draw_under_openmmlab_scripts(package, task, digits, tmp_path):
    """Training imports only those modules of this package that the config names."""
    tools = Path(find_spec(package).origin).parent / '.mim' / 'tools'
    command = [sys.executable, tools / 'train.py', CONFIGS / f'{task}.py', '--work-dir', tmp_path]
    training = call_in_shell(digits, *command)
    assert list((tmp_path / 'val_images').iterdir())
    pictures = tmp_path / 'pictures'
    show = ['--show-dir', pictures]
    testing = evaluate(digits, task, tmp_path, *show, script=tools / 'test.py')
    assert read_score(testing, task) == pytest.approx(read_score(training, task), abs=1e-3)
    assert count_pictures(pictures) == NUM_PICTURES[task]
