"""The command lines as users call them: every task through one pair of scripts, and through the hosts' own scripts."""

import os
import pickle
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest
import torch
from packaging.version import Version

from mmgcvit import GCViT

from .commands import CONFIGS, NUM_VAL, TOOLS, call, call_in_shell, evaluate, score, train

TASKS = {'detect': 'coco/segm_mAP:', 'segment': 'mIoU:', 'classify': 'accuracy/top5:'}

pytestmark = pytest.mark.slow


def host_script(host, name):
    """A host's own tool script, as its distribution carries it."""
    return Path(find_spec(host).origin).parent / '.mim' / 'tools' / name


@pytest.fixture(scope='module', params=TASKS)
def trained(request, digits, tmp_path_factory):
    """One trained model of each task: its name, work dir and what training, in a process of its own, printed."""
    work_dir = tmp_path_factory.mktemp(request.param)
    command = [sys.executable, TOOLS / 'train.py', CONFIGS / f'{request.param}.py', '--work-dir', work_dir]
    return request.param, work_dir, call_in_shell(digits, *command)


def test_training_shows_progress_and_ends_with_a_score(trained):
    task, work_dir, output = trained
    assert 'eta:' in output
    assert TASKS[task] in output
    assert Path((work_dir / 'last_checkpoint').read_text()).is_file()


def test_options_of_single_parameters_are_in_the_log_file_only(trained):
    """mmengine logs some for each parameter, which hides the rest on a screen. The other configs here set none."""
    task, work_dir, output = trained
    assert 'paramwise_options' not in output
    assert task != 'detect' or any('paramwise_options' in log.read_text() for log in work_dir.glob('*/*.log'))


def test_testing_gives_the_score_of_training_and_pictures_and_predictions(trained, digits, tmp_path):
    task, work_dir, training = trained
    out, pictures = tmp_path / 'predictions.pkl', tmp_path / 'pictures'
    output = evaluate(digits, task, work_dir, '--show-dir', pictures, '--out', out)
    assert score(output, TASKS[task]) == pytest.approx(score(training, TASKS[task]), abs=1e-3)
    predictions = pickle.loads(out.read_bytes())
    drawn = [path for path in pictures.rglob('*') if path.suffix in ('.png', '.jpg')]
    expected = 8 if task == 'classify' else NUM_VAL
    assert len(drawn) == len(predictions) == expected
    assert all(cv2.imread(str(path)) is not None for path in drawn)


def test_training_resumes_where_it_stopped(trained, digits):
    task, work_dir, _ = trained
    longer = ['train_cfg.max_iters=4'] if task == 'segment' else ['train_cfg.max_epochs=3']
    output = train(digits, task, work_dir, '--resume', '--cfg-options', *longer)
    assert re.search(r'resumed epoch: \d+, iter: [1-9]', output)
    assert ('Iter(train) [3/4]' in output) if task == 'segment' else ('Epoch(val) [3]' in output)


AUGMENTED = {'detect': 'coco/segm_mAP:', 'dino': 'coco/bbox_mAP:', 'segment': 'mIoU:'}


@pytest.mark.parametrize('task', AUGMENTED)
def test_test_time_augmentation_of_each_family(task, digits, tmp_path):
    options = [] if task == 'segment' else ['--cfg-options', 'train_cfg.max_epochs=1']
    train(digits, task, tmp_path, *options)
    assert AUGMENTED[task] in evaluate(digits, task, tmp_path, '--tta')


@pytest.mark.parametrize(('host', 'task'), [('mmdet', 'detect'), ('mmseg', 'segment')])
def test_the_same_configs_run_under_the_hosts_own_scripts(host, task, digits, tmp_path):
    """Training in a process that has imported nothing of this package but what the config says."""
    command = [sys.executable, host_script(host, 'train.py'), CONFIGS / f'{task}.py', '--work-dir', tmp_path]
    training = call_in_shell(digits, *command)
    checkpoint = (tmp_path / 'last_checkpoint').read_text()
    command = [host_script(host, 'test.py'), CONFIGS / f'{task}.py', checkpoint, '--work-dir', tmp_path]
    assert score(call(digits, *command), TASKS[task]) == pytest.approx(score(training, TASKS[task]), abs=1e-3)


def test_a_missing_data_set_is_named_before_anything_else(tmp_path):
    command = [sys.executable, TOOLS / 'train.py', 'configs/mask_rcnn_gcvit_t.py', '--work-dir', tmp_path]
    command += ['--cfg-options', f'train_dataloader.dataset.data_root={tmp_path / "coco"}']
    output = call_in_shell(tmp_path, *command, fails=True)
    assert str(tmp_path / 'coco' / 'annotations' / 'instances_train2017.json') in output
    assert 'Traceback' not in output


def test_amp_without_a_gpu_is_answered_in_one_sentence(tmp_path):
    command = [TOOLS / 'train.py', CONFIGS / 'detect.py', '--amp', '--work-dir', tmp_path]
    output = call(tmp_path, *command, fails=True)
    assert '--amp: mixed-precision training needs a GPU' in output
    assert 'Traceback' not in output


def test_a_missing_checkpoint_is_named(digits):
    command = [sys.executable, TOOLS / 'test.py', CONFIGS / 'detect.py', 'nowhere.pth']
    assert 'no checkpoint nowhere.pth' in call_in_shell(digits, *command, fails=True)


class RunsACommand:
    """Unpickled, this touches a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


BAD_CHECKPOINTS = {
    'truncated': 'is damaged',
    'text': 'is no checkpoint',
    'command': 'could run code',
    'other arch': 'holds weights of GCViT',
    'empty': 'holds no weights',
}


@pytest.fixture(params=BAD_CHECKPOINTS)
def bad_checkpoint(request, tmp_path):
    """A file that must be refused, and what is said of it."""
    path = tmp_path / 'weights.pth'
    content = {
        'other arch': {'state_dict': GCViT('xxtiny').state_dict()} if request.param == 'other arch' else None,
        'empty': {'state_dict': {}},
        'command': {'state_dict': {}, 'extra': RunsACommand(tmp_path / 'ran')},
    }.get(request.param, {'state_dict': {'a': torch.zeros(100_000)}})
    torch.save(content, path)
    if request.param == 'truncated':
        path.write_bytes(path.read_bytes()[:50_000])
    if request.param == 'text':
        path.write_text('words')
    return path, BAD_CHECKPOINTS[request.param]


def test_training_from_a_bad_checkpoint_ends_in_one_sentence_and_runs_nothing(bad_checkpoint, digits, tmp_path):
    path, message = bad_checkpoint
    options = [f'model.backbone.init_cfg.checkpoint={path}', 'model.backbone.init_cfg.type=Pretrained']
    command = [TOOLS / 'train.py', CONFIGS / 'classify.py', '--work-dir', tmp_path / 'work']
    output = call(digits, *command, '--cfg-options', *options, fails=True)
    assert message in output
    assert 'Traceback' not in output
    assert not (tmp_path / 'ran').exists()


def test_testing_refuses_what_does_not_hold_the_model_instead_of_scoring_it(digits, tmp_path):
    torch.save({'state_dict': GCViT('xxtiny').state_dict()}, tmp_path / 'x.pth')
    command = [TOOLS / 'test.py', CONFIGS / 'classify.py', tmp_path / 'x.pth']
    output = call(digits, *command, '--work-dir', tmp_path, fails=True)
    assert "does not fit the config's model" in output
    assert 'mmgcvit convert' in output
    assert 'Traceback' not in output


def test_testing_runs_no_code_from_a_checkpoint(digits, tmp_path):
    torch.save({'state_dict': {}, 'extra': RunsACommand(tmp_path / 'ran')}, tmp_path / 'x.pth')
    command = [TOOLS / 'test.py', CONFIGS / 'classify.py', tmp_path / 'x.pth']
    assert 'could run code' in call(digits, *command, '--work-dir', tmp_path, fails=True)
    assert not (tmp_path / 'ran').exists()


def test_a_classifier_is_tested_on_other_data_that_is_named(trained, digits, tmp_path):
    task, work_dir, _ = trained
    if task != 'classify':
        pytest.skip('of classifiers')
    data = tmp_path / 'other.py'
    data.write_text(f'test_dataloader = dict(dataset=dict(data_root={str(digits / "imagenet" / "val")!r}))')
    output = evaluate(digits, task, work_dir, '--test-data', data)
    assert re.search(r'Epoch\(test\) \[180/180\]', output)


def test_flops_of_a_config_are_printed_with_the_size():
    command = [
        sys.executable,
        '-m',
        'mmgcvit',
        'flops',
        'configs/gcvit_xxt_in1k.py',
        '--shape',
        '224',
        '224',
    ]
    output = call_in_shell('', *command)
    assert '224x224 px' in output
    assert '| **whole model** | **12.00** | **2.12** |' in output


def test_flops_of_the_variants_are_printed_beside_the_published():
    output = call('', '-m', 'mmgcvit', 'flops', '--table')
    assert '| xtiny | 224x224 | 7, 7, 14, 7 | 19,981,294 | 2.912 | 2.6 | 82.0 |' in output


@pytest.mark.skipif(Version(torch.__version__) < Version('2.4'), reason='compiled from torch 2.4 on')
def test_training_compiles_with_mmengines_setting(digits, tmp_path):
    output = train(digits, 'classify', tmp_path, '--cfg-options', 'compile.backend=eager')
    assert 'Model has been "compiled"' in output
    assert TASKS['classify'] in output
