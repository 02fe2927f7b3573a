"""A preempted run saves after its step, ends on all ranks, and resumes as if it had not been interrupted."""

import pytest
import torch

from mmgcvit.checkpoints.latest import find_latest_checkpoint
from mmgcvit.engine.hooks.preemption import PREEMPTED_EXIT_CODE

from .toy import ITERATIONS, last, names, train, train_in_two


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1'])
def test_a_preempted_run_saves_after_the_step_and_resumes_to_the_result_of_an_uninterrupted_one(name, tmp_path):
    preempted, whole = tmp_path / 'preempted', tmp_path / 'whole'
    output = train(preempted, settings=ITERATIONS, code=PREEMPTED_EXIT_CODE, SIGNAL_AT=f'{name}@3')
    assert output.count('Preempted: saved preempted.pth. The exit code is 75. Continue with --resume') == 1
    assert 'Traceback' not in output
    assert last(preempted)['meta']['iter'] == 3
    train(preempted, '--resume', settings=ITERATIONS)
    train(whole, settings=ITERATIONS)
    assert names(preempted) == names(whole)
    assert names(whole)[1:] == ['iter_6.pth', 'last_checkpoint']
    torch.testing.assert_close(last(preempted)['state_dict'], last(whole)['state_dict'], rtol=0, atol=0)


def test_with_gradient_accumulation_it_saves_after_the_optimizer_step_and_the_last_iteration_ends_as_usual(tmp_path):
    accumulated = [*ITERATIONS, 'optim_wrapper.accumulative_counts=3']
    train(tmp_path / 'within', settings=accumulated, code=PREEMPTED_EXIT_CODE, SIGNAL_AT='SIGTERM@1')
    assert last(tmp_path / 'within')['meta']['iter'] == 3
    train(tmp_path / 'last', settings=ITERATIONS, SIGNAL_AT='SIGTERM@6')
    assert last(tmp_path / 'last')['meta']['iter'] == 6


def test_the_next_regular_checkpoint_replaces_the_one_of_a_preempted_run(tmp_path):
    two_steps_per_epoch = ['train_dataloader.batch_size=1']
    train(tmp_path, settings=two_steps_per_epoch, code=PREEMPTED_EXIT_CODE, SIGNAL_AT='SIGTERM@3')
    assert names(tmp_path) == ['best_score_epoch_1.pth', 'epoch_1.pth', 'last_checkpoint', 'preempted.pth']
    assert find_latest_checkpoint(tmp_path) == tmp_path / 'preempted.pth'
    train(tmp_path, '--resume', settings=two_steps_per_epoch)
    assert names(tmp_path)[1:] == ['epoch_3.pth', 'last_checkpoint']


def test_data_workers_outlive_a_signal_to_all_processes(tmp_path):
    """torchrun and slurm signal all processes."""
    settings = [*ITERATIONS, 'train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
    output = train(tmp_path, settings=settings, code=PREEMPTED_EXIT_CODE, SIGNAL_AT='group SIGTERM@3')
    assert 'DataLoader worker' not in output
    assert last(tmp_path)['meta']['iter'] == 3


def test_a_signal_to_one_rank_ends_all_ranks_at_the_same_step(tmp_path):
    train_in_two(tmp_path, settings=ITERATIONS, code=PREEMPTED_EXIT_CODE, SIGNAL_AT='SIGUSR1@3/1')
    assert last(tmp_path)['meta']['iter'] == 3
    assert 'preempted.pth' in names(tmp_path)
