"""Train and test each task with this project's scripts and with those of the OpenMMLab packages."""

import pickle
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest
import torch

from mmgcvit import GCViT

from . import commands
from .commands import CONFIGS, NUM_VAL, call_in_shell, evaluate, score, train

TASKS = {'detect': 'coco/segm_mAP:', 'segment': 'mIoU:', 'classify': 'accuracy/top5:'}

pytestmark = pytest.mark.slow


def count_pictures(folder):
    """Return the number of images in a folder, all of which must be readable."""
    drawn = [path for path in folder.rglob('*') if path.suffix in ('.png', '.jpg')]
    assert all(cv2.imread(str(path)) is not None for path in drawn)
    return len(drawn)


@pytest.mark.parametrize('task', TASKS)
def test_testing_reproduces_the_score_of_training_and_writes_predictions(task, digits, tmp_path):
    work_dir, out, pictures = tmp_path / 'work', tmp_path / 'predictions.pkl', tmp_path / 'pictures'
    training = train(digits, task, work_dir)
    assert 'eta:' in training
    assert f'mmgcvit predict {work_dir} YOUR_PICTURES' in training
    assert list((work_dir / 'val_images').glob('*.jpg'))
    output = evaluate(digits, task, work_dir, '--show-dir', pictures, '--out', out)
    assert score(output, TASKS[task]) == pytest.approx(score(training, TASKS[task]), abs=1e-3)
    predictions = pickle.loads(out.read_bytes())
    assert count_pictures(pictures) == len(predictions) == (10 if task == 'classify' else NUM_VAL)
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
    checkpoint, pictures = (tmp_path / 'last_checkpoint').read_text(), tmp_path / 'pictures'
    command = [tools / 'test.py', CONFIGS / f'{task}.py', checkpoint, '--work-dir', tmp_path]
    testing = commands.call(digits, *command, '--show-dir', pictures)
    assert score(testing, TASKS[task]) == pytest.approx(score(training, TASKS[task]), abs=1e-3)
    assert count_pictures(pictures) == (10 if task == 'classify' else NUM_VAL)


def test_invalid_checkpoint_ends_training_and_testing_with_a_one_line_error(
    digits, call, tmp_path, monkeypatch
):
    monkeypatch.setenv('DIGITS', str(digits))
    other, torn = tmp_path / 'other.pth', tmp_path / 'torn.pth'
    torch.save({'state_dict': GCViT('xxtiny').state_dict()}, other)
    torn.write_bytes(other.read_bytes()[:50_000])
    loading = [
        f'model.backbone.init_cfg.checkpoint={torn}',
        'model.backbone.init_cfg.type=Pretrained',
    ]
    for command, message in (
        (['train', CONFIGS / 'classify.py', '--cfg-options', *loading], 'is damaged'),
        (['test', CONFIGS / 'classify.py', other], "does not fit the config's model"),
    ):
        code, output = call(*command, '--work-dir', tmp_path / 'work', '--device', 'cpu')
        assert (code, message in output) == (1, True), output
    assert 'mmgcvit convert' in output
