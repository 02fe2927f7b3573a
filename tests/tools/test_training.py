"""Train and test each task with this project's scripts and with those of the OpenMMLab packages."""

import pickle
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest
import torch

from mmgcvit import GCViT

from .commands import CONFIGS, NUM_VAL, TOOLS, call, call_in_shell, evaluate, score, train

TASKS = {'detect': 'coco/segm_mAP:', 'segment': 'mIoU:', 'classify': 'accuracy/top5:'}

pytestmark = pytest.mark.slow


def find_script(package, name):
    """Return the path of a script that an OpenMMLab package ships for mim."""
    return Path(find_spec(package).origin).parent / '.mim' / 'tools' / name


def count_pictures(folder):
    """Return the number of images in a folder, all of which must be readable."""
    drawn = [path for path in folder.rglob('*') if path.suffix in ('.png', '.jpg')]
    assert all(cv2.imread(str(path)) is not None for path in drawn)
    return len(drawn)


@pytest.fixture(scope='module', params=TASKS)
def trained(request, digits, tmp_path_factory):
    """Train a model of each task, the detector in a new process; return the task, the work dir and the output."""
    work_dir = tmp_path_factory.mktemp(request.param)
    if request.param != 'detect':
        return request.param, work_dir, train(digits, request.param, work_dir)
    command = [sys.executable, TOOLS / 'train.py', CONFIGS / 'detect.py', '--work-dir', work_dir]
    return request.param, work_dir, call_in_shell(digits, *command)


def test_training_logs_progress_and_a_score(trained):
    task, work_dir, output = trained
    assert 'eta:' in output
    assert TASKS[task] in output
    assert Path((work_dir / 'last_checkpoint').read_text()).is_file()
    assert f'mmgcvit predict {work_dir} YOUR_PICTURES' in output
    assert list((work_dir / 'val_images').glob('*.jpg'))


def test_testing_reproduces_the_score_of_training_and_writes_predictions(trained, digits, tmp_path):
    task, work_dir, training = trained
    out, pictures = tmp_path / 'predictions.pkl', tmp_path / 'pictures'
    output = evaluate(digits, task, work_dir, '--show-dir', pictures, '--out', out)
    assert score(output, TASKS[task]) == pytest.approx(score(training, TASKS[task]), abs=1e-3)
    predictions = pickle.loads(out.read_bytes())
    assert count_pictures(pictures) == len(predictions) == (8 if task == 'classify' else NUM_VAL)
    if task == 'segment':
        assert 'mIoU:' in evaluate(digits, task, work_dir, '--tta')
    if task == 'classify':
        for folder in (digits / 'classes').iterdir():
            (tmp_path / 'other' / folder.name).mkdir(parents=True)
            shutil.copy(min(folder.iterdir()), tmp_path / 'other' / folder.name)
        output = evaluate(
            digits, task, work_dir, '--cfg-options', f'test_dataloader.dataset.data_root={tmp_path / "other"}'
        )
        assert re.search(r'Epoch\(test\) \[2/2\]', output)


@pytest.mark.long
@pytest.mark.parametrize(('package', 'task'), [('mmdet', 'detect'), ('mmseg', 'segment'), ('mmpretrain', 'classify')])
def test_configs_train_test_and_draw_under_openmmlab_scripts(package, task, digits, tmp_path):
    """Training imports only those modules of this package that the config names."""
    command = [sys.executable, find_script(package, 'train.py'), CONFIGS / f'{task}.py', '--work-dir', tmp_path]
    training = call_in_shell(digits, *command)
    assert list((tmp_path / 'val_images').iterdir())
    checkpoint, pictures = (tmp_path / 'last_checkpoint').read_text(), tmp_path / 'pictures'
    command = [find_script(package, 'test.py'), CONFIGS / f'{task}.py', checkpoint, '--work-dir', tmp_path]
    testing = call(digits, *command, '--show-dir', pictures)
    assert score(testing, TASKS[task]) == pytest.approx(score(training, TASKS[task]), abs=1e-3)
    assert count_pictures(pictures) == (8 if task == 'classify' else NUM_VAL)


def test_invalid_checkpoint_ends_training_and_testing_with_a_one_line_error(digits, tmp_path):
    other, torn = tmp_path / 'other.pth', tmp_path / 'torn.pth'
    torch.save({'state_dict': GCViT('xxtiny').state_dict()}, other)
    torn.write_bytes(other.read_bytes()[:50_000])
    loading = [f'model.backbone.init_cfg.checkpoint={torn}', 'model.backbone.init_cfg.type=Pretrained']
    for command, message in (
        (['train.py', CONFIGS / 'classify.py', '--cfg-options', *loading], 'is damaged'),
        (['test.py', CONFIGS / 'classify.py', other], "does not fit the config's model"),
    ):
        output = call(digits, TOOLS / command[0], *command[1:], '--work-dir', tmp_path / 'work', fails=True)
        assert message in output
        assert 'Traceback' not in output
    assert 'mmgcvit convert' in output
