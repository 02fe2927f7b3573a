"""The command line: one config of each family goes through every step, a broken one is stopped where it breaks."""

import os
import re
import subprocess
import sys

import pytest
from mmengine.config import Config

from ..conftest import ROOT

# Options beside --depth 1.
FAMILIES = {
    'configs/gcvit_xxt_in1k.py': [],
    'configs/mask_rcnn_gcvit_t.py': [],
    'configs/cascade_gcvit_b.py': [],
    'configs/upernet_gcvit_t.py': ['--cfg-options', 'model.backbone.window_size=8'],
    'configs/dino_gcvit_t_12e.py': [],
    'configs/custom_coco_boxonly.py': [],
    'configs/mask_rcnn_lsa_s.py': [],
    'configs/lsa_t_cifar10.py': [],
}


def dry_run(config, work_dir, *options):
    command = [sys.executable, 'tools/dry_run.py', str(config), '--work-dir', str(work_dir), *options]
    environment = os.environ | {'CUDA_VISIBLE_DEVICES': '-1'}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=900)


@pytest.mark.slow
@pytest.mark.parametrize('config', FAMILIES)
def test_every_family_goes_through_all_steps(config, tmp_path):
    run = dry_run(config, tmp_path, '--depth', '1', *FAMILIES[config])
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert re.findall(r'^(\w+): OK', run.stdout, re.MULTILINE) == ['train', 'resume', 'test']
    assert 'predictions and scores as in validation' in run.stdout
    assert Config.fromfile(tmp_path / 'config.py').work_dir == str(tmp_path / 'run')
    assert not list(tmp_path.rglob('*.pth'))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('options', 'step', 'message'),
    [
        (['model.neck.in_channels=[64,128,256,99]'], 'train', 'expected input'),
        (['model.neck.type=Nothing'], 'build', 'Nothing is not in'),
        (['test_dataloader.dataset.pipeline.1.scale=(0,0)'], 'test', 'exit code'),
    ],
)
def test_a_broken_config_is_stopped_where_it_breaks(options, step, message, tmp_path):
    run = dry_run('configs/mask_rcnn_gcvit_t.py', tmp_path, '--depth', '1', '--cfg-options', *options)
    assert run.returncode == 1, run.stdout
    failed = re.findall(r'^(\w+): FAILED', run.stdout, re.MULTILINE)
    assert failed == [step], run.stdout
    assert message in run.stdout
    assert 'Traceback' in (tmp_path / f'{"train" if step == "build" else step}.log').read_text()


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / 'thesis.tex').write_text('years of work')
    run = dry_run('configs/mask_rcnn_gcvit_t.py', tmp_path)
    assert run.returncode != 0
    assert 'holds other things than a dry run' in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']


def test_impossible_options_are_refused(tmp_path):
    run = dry_run('configs/mask_rcnn_gcvit_t.py', tmp_path, '--depth', '1', '--keep-weights')
    assert '--depth and --keep-weights' in run.stderr
    assert not list(tmp_path.iterdir())
