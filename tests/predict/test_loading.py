"""Models are loaded from a config and a checkpoint, or from a work dir; checkpoints that do not fit
are rejected.
"""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmgcvit import load
from mmgcvit.errors import UserError
from mmgcvit.predict.classifier import Classifier
from mmgcvit.predict.loading import build_predictor, get_tiles
from mmgcvit.predict.model_files import find_model_files, read_model_checkpoint
from mmgcvit.predict.predictor import Predictor

from ..programs import run
from ..toy import RunsACommand
from .conftest import CLASSES, config_of, picture_of


@pytest.fixture
def run_dir(work_dirs, tmp_path):
    """Copy the work dir of a classifier."""
    return shutil.copytree(work_dirs['classification'], tmp_path / 'run')


def test_the_best_checkpoint_of_a_work_dir_is_loaded_otherwise_the_newest(run_dir):
    """Damaged checkpoints are skipped."""
    newest, best = run_dir / 'epoch_1.pth', run_dir / 'best_accuracy_top1_epoch_1.pth'
    best.write_bytes(newest.read_bytes()[:1000])
    assert read_model_checkpoint(str(run_dir)).source == str(newest)
    shutil.copy(newest, best)
    assert read_model_checkpoint(str(run_dir)).source == str(best)
    files = find_model_files(run_dir, newest)
    assert (files.config, files.checkpoint) == (run_dir / 'classify.py', str(newest))


INVALID = {
    ('two',): r'one config \(\*\.py\): it has classify\.py, other\.py',
    ('words.py', 'run/epoch_1.pth'): 'words.py',
    ('run', 's3://bucket/x.pth'): 'there is no checkpoint s3://bucket/x.pth',
    ('untested.py', 'run/epoch_1.pth'): 'a test_dataloader whose dataset has a pipeline',
    ('loose',): r'has 2 checkpoints .epoch_1\.pth, epoch_2\.pth. and no last_checkpoint',
    ('~nobody_x/run',): 'there is no config or work dir ~nobody_x/run',
    ('run', '~nobody_x/a.pth'): 'there is no checkpoint ~nobody_x/a.pth',
    ('run', 'other.pth'): "does not fit the config's model",
    ('run', None, 'tpu'): "device 'tpu': expected auto, cpu, cuda or cuda:N",
    ('run', None, 'cpu', 0.5): 'score_thr is only for detectors',
}


@pytest.mark.parametrize('arguments', INVALID)
def test_invalid_configs_and_arguments_are_rejected(arguments, run_dir, work_dirs, monkeypatch):
    monkeypatch.chdir(run_dir.parent)
    shutil.copy(work_dirs['segmentation'] / 'epoch_1.pth', 'other.pth')
    Path('words.py').write_text('these are words')
    Path('untested.py').write_text("default_scope = 'mmdet'\nmodel = dict(type='MaskRCNN')\n")
    shutil.copytree('run', 'two')
    shutil.copy('two/classify.py', 'two/other.py')
    shutil.copytree('run', 'loose', ignore=shutil.ignore_patterns('last_checkpoint'))
    shutil.copy('run/epoch_1.pth', 'loose/epoch_2.pth')
    with pytest.raises(UserError, match=INVALID[arguments]):
        load(*arguments)


@pytest.mark.parametrize('command', ['mistakes RUN', 'test RUN', 'train RUN/classify.py --resume'])
def test_commands_refuse_a_run_of_another_project(command, run_dir, call):
    cfg = config_of('classification')  # with relative data
    cfg.work_dir = 'other/work_dirs/classify'
    run = run_dir.parent / 'project' / cfg.work_dir
    shutil.copytree(run_dir, run)
    cfg.dump(run / 'classify.py')
    code, printed = call(*command.replace('RUN', str(run)).split())
    assert (code, f'relative to {run_dir.parent}/project, where it was' in printed) == (1, True)


def test_no_code_of_a_checkpoint_runs(run_dir, tmp_path):
    content = torch.load(run_dir / 'epoch_1.pth', weights_only=False)
    torch.save({**content, 'extra': RunsACommand(tmp_path / 'ran')}, run_dir / 'own.pth')
    assert load(run_dir, run_dir / 'own.pth', 'cpu').task == 'classification'
    assert not (tmp_path / 'ran').exists()


def test_a_wrong_path_is_rejected_before_torch_is_imported():
    program = (
        'import sys, mmgcvit\n'
        'try: mmgcvit.load("nowhere")\n'
        'except ValueError as error: print(error, "torch" in sys.modules)'
    )
    result = run([sys.executable, '-c', program])
    assert result.stdout == 'there is no config or work dir nowhere False\n'


@pytest.mark.parametrize('name', ['notes.txt', 'weights.safetensors'])
def test_a_file_that_is_no_config_is_refused_before_it_is_read(name, tmp_path):
    (tmp_path / name).write_text('words')
    with pytest.raises(UserError, match=r'is neither a config file .* nor a work dir'):
        find_model_files(tmp_path / name)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_classifier_whose_scores_are_not_finite_is_refused(value):
    """JSON has no such numbers."""
    sample = SimpleNamespace(pred_score=torch.tensor([0.1, value]))
    with pytest.raises(UserError, match='its scores are NaN or infinite'):
        Classifier.read_sample(SimpleNamespace(classes=['cat', 'dog']), sample)


@pytest.mark.parametrize(('scope', 'tiles'), [('mmseg', 64), ('mmpretrain', None)])
def test_a_model_has_the_tiles_of_its_test_loop_but_a_classifier_none(scope, tiles):
    assert get_tiles(Config({'default_scope': scope, 'test_cfg': {'side': 64}})) == tiles


@pytest.mark.parametrize('scale', [(64, 128), (128, 64)])
def test_the_scale_of_a_model_is_the_longer_and_the_shorter_side(scale):
    steps = [SimpleNamespace(), SimpleNamespace(scale=scale)]
    model = SimpleNamespace(pipeline=SimpleNamespace(transforms=steps))
    assert Predictor.scale.fget(model) == (128, 64)


NAMES = [f'number {number}' for number in range(10)]
NO_NAMES = [f'class {number}' for number in range(10)]


@pytest.mark.parametrize(
    ('meta', 'metainfo', 'names'),
    [
        ({'dataset_meta': {'classes': NAMES}}, {}, NAMES),
        ({'CLASSES': NAMES}, {}, NAMES),
        ({}, {}, NO_NAMES),
        ({'dataset_meta': {'classes': ['a']}}, {}, NO_NAMES),
        ({}, {'classes': NAMES}, NAMES),
    ],
)
def test_class_names_come_from_the_checkpoint_or_the_config_or_are_numbered(meta, metainfo, names):
    """mmdet and mmseg would use COCO's or Cityscapes' class names for a checkpoint without any."""
    cfg = config_of('classification')
    cfg.test_dataloader.dataset.metainfo = metainfo
    assert build_predictor(cfg, 'x.py', meta).classes == names


def test_dataset_wrappers_and_types_given_as_classes_are_supported():
    from mmcv.transforms import LoadImageFromFile

    cfg = config_of('segmentation')
    inner = cfg.test_dataloader.dataset
    inner.pipeline[0] = {'type': LoadImageFromFile}
    cfg.test_dataloader.dataset = {'type': 'RepeatDataset', 'dataset': inner, 'times': 2}
    assert build_predictor(cfg, 'x.py', {}).classes == CLASSES['segmentation']


def test_a_cifar_classifier_gets_images_in_the_format_of_cifars_dataset():
    """CIFAR's dataset gives RGB arrays of 32 x 32 to a pipeline that does not change them."""
    cfg, picture = Config.fromfile('configs/lsa_t_cifar10.py'), picture_of(32, 32)
    model = build_predictor(cfg, 'x.py', {})
    assert model.classes[9] == 'truck'
    stored = torch.from_numpy(picture).flip(2).permute(2, 0, 1)
    preprocessor = model.network.data_preprocessor
    with torch.no_grad():
        inputs = (stored - preprocessor.mean) / preprocessor.std
        (sample,) = model.network.predict(inputs[None])
    np.testing.assert_allclose(model(picture).scores, sample.pred_score.numpy(), atol=1e-5)
    assert model(picture_of(200, 300)).scores.shape == (10,)
