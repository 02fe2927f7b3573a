"""The command line: one config of each family goes through every step, a broken one is stopped where it breaks."""

import os
import re
import sys

import pytest
from mmengine.config import Config

from mmgcvit.commands import dry_run as command
from mmgcvit.commands.main import run_command

from ... import fork_server, programs

# Options beside --depth 1 --shrink 16.
FAMILIES = {
    'configs/mask_rcnn_gcvit_t.py': [],
    'configs/cascade_gcvit_t.py': [],
    'configs/custom_coco_boxonly.py': ['--cfg-options', 'mosaic=True'],
    'configs/custom_coco.py': ['--cfg-options', 'copy_paste=True'],
    'configs/custom_seg.py': [],
    'configs/custom_cls.py': [],
    'configs/upernet_gcvit_t.py': ['--cfg-options', 'model.backbone.window_size=8'],
    'configs/dino_gcvit_t_12e.py': [],
    'configs/mask_rcnn_lsa_s.py': [],
    'configs/lsa_t_cifar10.py': [],
}


@pytest.fixture
def dry_run(monkeypatch, capfd):
    """Call the command line, its steps in forked processes; returns its exit code and what it printed."""

    def dry_run(config, work_dir, *options):
        forked = lambda program, log: fork_server.run('-m', *program, log=log.name).returncode  # noqa: E731
        monkeypatch.setattr(command, 'in_new_process', forked)
        monkeypatch.setattr('sys.argv', ['dry_run.py', str(config), '--work-dir', str(work_dir), *options])
        code = 0
        try:
            run_command('dry-run')
        except SystemExit as end:
            code = end.code
        return code, capfd.readouterr().out

    return dry_run


def rehearse_really(config, work_dir, *options):
    """Call the command line, and its steps, in processes of their own."""
    command = [sys.executable, '-m', 'mmgcvit', 'dry-run', config, '--work-dir', work_dir, *options]
    return programs.run(command, os.environ | {'CUDA_VISIBLE_DEVICES': '-1'})


@pytest.mark.slow
@pytest.mark.parametrize('config', FAMILIES)
def test_every_family_goes_through_all_steps(config, dry_run, tmp_path):
    code, output = dry_run(config, tmp_path, '--depth', '1', '--shrink', '16', *FAMILIES[config])
    assert code == 0, output
    check_steps(output)
    assert Config.fromfile(tmp_path / 'config.py').work_dir == str(tmp_path / 'run')
    assert not list(tmp_path.rglob('*.pth'))


def check_steps(output):
    assert re.findall(r'^(\w+): OK', output, re.MULTILINE) == ['train', 'resume', 'test']
    assert 'predictions and scores as in validation' in output


@pytest.mark.slow
def test_the_command_goes_through_all_steps_in_processes_of_their_own(tmp_path):
    run = rehearse_really('configs/gcvit_xxt_in1k.py', tmp_path, '--depth', '1')
    assert run.returncode == 0, programs.last_of(run.stdout, run.stderr)
    check_steps(run.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('options', 'step', 'message'),
    [
        (['model.neck.in_channels=[64,128,256,99]'], 'train', 'expected input'),
        (['model.neck.type=Nothing'], 'build', 'Nothing is not in'),
        (['test_dataloader.dataset.pipeline.1.scale=(0,0)'], 'test', 'exit code'),
    ],
)
def test_a_broken_config_is_stopped_where_it_breaks(options, step, message, dry_run, tmp_path):
    code, output = dry_run(
        'configs/mask_rcnn_gcvit_t.py', tmp_path, '--depth', '1', '--shrink', '16', '--cfg-options', *options
    )
    assert code == 1, output
    failed = re.findall(r'^(\w+): FAILED', output, re.MULTILINE)
    assert failed == [step], output
    assert message in output
    assert 'Traceback' in (tmp_path / f'{"train" if step == "build" else step}.log').read_text()


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / 'thesis.tex').write_text('years of work')
    run = rehearse_really('configs/mask_rcnn_gcvit_t.py', tmp_path)
    assert run.returncode == 1
    assert 'holds other things than a dry run' in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']


def test_impossible_options_are_refused(dry_run, tmp_path):
    sentence, _ = dry_run('configs/mask_rcnn_gcvit_t.py', tmp_path, '--depth', '1', '--keep-weights')
    assert '--depth and --keep-weights' in sentence
    assert not list(tmp_path.iterdir())
