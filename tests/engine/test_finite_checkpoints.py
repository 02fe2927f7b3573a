"""No checkpoint has numbers that are not finite."""

import pytest
import torch

from mmgcvit.errors import UserError

from .test_finite_steps import runner_of, samples, train


def spoil_weights(runner):
    runner.model.layer.weight.data[0, 1] = float('nan')


def spoil_statistics(runner):
    runner.model.norm.running_var[1] = float('inf')


def spoil_average(runner):
    ema = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    ema.ema_model.module.layer.bias.data[0] = float('-inf')


def spoil_moments(runner):
    runner.optim_wrapper.optimizer.state[runner.model.layer.weight]['exp_avg_sq'][0, 0] = float('inf')


@pytest.mark.parametrize(
    ('spoil', 'name'),
    [
        (spoil_weights, r'ema_state_dict\.module\.layer\.weight'),
        (spoil_statistics, r'norm\.running_var'),
        (spoil_average, r'state_dict\.layer\.bias'),
        (spoil_moments, r'optimizer\.state\.2\.exp_avg_sq'),
    ],
)
def test_what_is_not_finite_is_not_saved(tmp_path, spoil, name):
    runner = train(tmp_path, samples(8))
    spoil(runner)
    with pytest.raises(UserError, match=rf'{name}.* not saved, and the run has ended.*--resume \S+iter_3\.pth'):
        runner.save_checkpoint(str(tmp_path), 'iter_5.pth')
    assert not (tmp_path / 'iter_5.pth').exists()


@pytest.mark.parametrize(
    ('count', 'named'),
    [
        (1, 'state_dict.w0'),
        (3, 'state_dict.w0, state_dict.w1, state_dict.w2'),
        (4, '.w0, state_dict.w1, state_dict.w2, ...'),
    ],
)
def test_three_of_them_are_named(tmp_path, count, named):
    runner = train(tmp_path, samples(8))
    wrong = {f'w{number}': torch.tensor(float('nan')) for number in range(count)}
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'FiniteCheckpointsHook')
    with pytest.raises(UserError, match=rf'^{count} tensors are not finite') as ended:
        hook.before_save_checkpoint(runner, {'state_dict': wrong})
    assert f'{named}); they are not saved' in str(ended.value)


def test_a_mask_of_infinities_is_saved(tmp_path):
    runner = runner_of(tmp_path, samples(4))
    runner.model.register_buffer('mask', torch.full((2, 2), float('-inf')).triu(1))
    runner.train()
    assert (tmp_path / 'iter_2.pth').is_file()


def test_statistics_that_were_loaded_so_are_not_by_design(tmp_path):
    runner = runner_of(tmp_path, samples(8))
    spoil_statistics(runner)
    with pytest.raises(UserError, match=r'norm\.running_var'):
        runner.train()
