"""A warning by a signal ends a training with a checkpoint and an exit code, and --resume goes on to the same end."""

import os
import signal
import subprocess

import pytest
import torch

from mmgcvit.checkpoints import newest_whole_checkpoint
from mmgcvit.engine.early_end import RESUME_ME

from ..programs import ROOT, started
from ..tools.commands import TOOLS, environment_for
from .toy_runs import CONFIG, ITERATIONS, SHARED_OUT, last, names, train, train_in_two_processes


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1'])
def test_a_warned_run_saves_after_the_step_and_goes_on_to_the_end_of_one_that_was_not(name, tmp_path):
    warned, whole = tmp_path / 'warned', tmp_path / 'whole'
    output = train(warned, settings=ITERATIONS, code=RESUME_ME, WARNED=f'{name}@3')
    assert RESUME_ME == 75
    assert f'{name}: saved {warned / "iter_3.pth"} and ended with exit code 75' in output
    assert 'Traceback' not in output
    assert last(warned)['meta']['iter'] == 3
    train(warned, '--resume', settings=ITERATIONS)
    train(whole, settings=ITERATIONS)
    assert names(warned) == names(whole)
    resumed, plain = last(warned), last(whole)
    assert resumed['meta']['iter'] == plain['meta']['iter'] == 6
    torch.testing.assert_close(resumed['state_dict'], plain['state_dict'], rtol=0, atol=0)


def test_with_progress_shown_the_line_is_on_the_screen(tmp_path):
    output = train(tmp_path, '--progress', settings=ITERATIONS, code=RESUME_ME, WARNED='SIGTERM@3')
    assert output.count('call it again with --resume to go on') == 1


def test_where_the_hook_for_checkpoints_has_just_saved_nothing_is_saved_twice(tmp_path):
    output = train(tmp_path, settings=ITERATIONS, code=RESUME_ME, WARNED='SIGTERM@4')
    assert names(tmp_path) == ['best_score_iter_2.pth', 'iter_4.pth', 'last_checkpoint']
    assert output.count('iter_4.pth') == 1


def test_a_run_at_its_last_step_ends_as_usual(tmp_path):
    train(tmp_path, settings=ITERATIONS, WARNED='SIGTERM@6')
    assert last(tmp_path)['meta']['iter'] == 6


def test_gradients_under_way_are_waited_for(tmp_path):
    """In the middle of a step of three iterations, the end is behind the third."""
    settings = [*ITERATIONS, 'optim_wrapper.accumulative_counts=3']
    train(tmp_path, settings=settings, code=RESUME_ME, WARNED='SIGTERM@1')
    assert last(tmp_path)['meta']['iter'] == 3


def test_warned_again_a_run_that_counts_epochs_keeps_one_checkpoint_of_its_early_ends(tmp_path):
    two_an_epoch = ['train_dataloader.batch_size=1']
    train(tmp_path, settings=two_an_epoch, code=RESUME_ME, WARNED='SIGTERM@3')
    assert names(tmp_path) == ['best_score_epoch_1.pth', 'epoch_1.pth', 'iter_3.pth', 'last_checkpoint']
    assert newest_whole_checkpoint(tmp_path).path == tmp_path / 'iter_3.pth'
    train(tmp_path, '--resume', settings=two_an_epoch)
    assert names(tmp_path) == ['best_score_epoch_3.pth', 'epoch_3.pth', 'last_checkpoint']


def test_workers_that_load_data_outlive_a_warning_to_all_processes(tmp_path):
    """As torch's launcher sends it, and slurm."""
    settings = [*ITERATIONS, 'train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
    output = train(tmp_path, settings=settings, code=RESUME_ME, WARNED='group SIGTERM@3')
    assert 'DataLoader worker' not in output
    assert last(tmp_path)['meta']['iter'] == 3


@pytest.mark.parametrize('settings', [[], SHARED_OUT], ids=['DDP', 'FSDP'])
def test_the_warning_of_one_process_ends_all_at_the_same_step(settings, tmp_path):
    settings = [*ITERATIONS, *settings]
    train_in_two_processes(tmp_path, settings=settings, code=RESUME_ME, WARNED='SIGUSR1@3/1')
    assert last(tmp_path)['meta']['iter'] == 3
    assert names(tmp_path) == ['best_score_iter_2.pth', 'iter_2.pth', 'iter_3.pth', 'last_checkpoint']


@pytest.mark.slow
@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1'])
def test_the_launcher_passes_a_warning_on_and_the_answer_back(name, tmp_path):
    endless = [*ITERATIONS, 'train_cfg.max_iters=100000', 'train_cfg.val_interval=100000']
    command = [TOOLS / 'dist_train.sh', CONFIG, 2, '--work-dir', tmp_path / 'work', '--cfg-options']
    log = tmp_path / 'log'
    with log.open('w') as file:
        output = {'stdout': file, 'stderr': subprocess.STDOUT}
        with started([*command, *endless], environment_for('', PYTHONPATH=str(ROOT)), **output) as process:
            while not (tmp_path / 'work' / 'last_checkpoint').is_file():
                assert process.poll() is None, log.read_text()[-3000:]
            os.kill(process.pid, signal.Signals[name])
            assert process.wait(60) == RESUME_ME, log.read_text()[-3000:]
    assert log.read_text().count('call it again with --resume to go on') == 1
    assert last(tmp_path / 'work')['meta']['iter'] > 0
