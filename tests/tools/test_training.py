"""Train and test each task with this project's scripts and with those of the OpenMMLab packages.

Modules: `tools/train.py`, `tools/test.py`.
"""

import pickle
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest

from .commands import CONFIGS, NUM_VAL, TOOLS, call, call_in_shell

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


SCRIPTS = [(TOOLS, task) for task in SCORES]
for package, task in (('mmdet', 'detect'), ('mmseg', 'segment'), ('mmpretrain', 'classify')):
    tools = Path(find_spec(package).origin).parent / '.mim' / 'tools'
    SCRIPTS.append(pytest.param(tools, task, marks=pytest.mark.long))


@pytest.mark.parametrize(('tools', 'task'), SCRIPTS)
def test_testing_reproduces_the_score_of_training_and_writes_predictions(
    tools, task, digits, tmp_path
):
    """By this project's scripts and by those of OpenMMLab's packages. Training in a fresh process
    imports only those modules of this package that the config names.
    """
    config = CONFIGS / f'{task}.py'
    work_dir = tmp_path / 'work'
    pictures = tmp_path / 'pictures'
    train = [tools / 'train.py', config, '--work-dir', work_dir]
    if tools == TOOLS:
        training = call(digits, *train)
    else:
        training = call_in_shell(digits, sys.executable, *train)
    checkpoint = (work_dir / 'last_checkpoint').read_text()
    test = [tools / 'test.py', config, checkpoint, '--work-dir', work_dir]
    output = call(digits, *test, '--show-dir', pictures)
    assert list((work_dir / 'val_images').glob('*.jpg'))
    assert read_score(output, task) == pytest.approx(read_score(training, task), abs=1e-3)
    assert count_pictures(pictures) == NUM_PICTURES[task]
    if tools != TOOLS:
        return
    assert 'eta:' in training
    assert f'mmgcvit predict {work_dir} YOUR_PICTURES' in training
    out = tmp_path / 'out.pkl'
    call(digits, *test, '--out', out, *(['--tta'] if task == 'segment' else []))
    assert len(pickle.loads(out.read_bytes())) == NUM_PICTURES[task]
