"""Steps with NaN or infinite gradients are skipped, and no checkpoint contains such
values.
"""

import re
from functools import partial

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mmengine.model import BaseModel
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from packaging.version import Version
from torch import nn

from mmgcvit.engine.hooks import skip_nonfinite
from mmgcvit.engine.hooks.skip_nonfinite import SKIPPED_STEPS, SkipNonFiniteStepHook
from mmgcvit.engine.ranks import CPU_MODEL_WRAPPER
from mmgcvit.errors import UserError

from ...fork_server import run_on_ranks
from ..random_training import EPOCHS, make_config


class TinyModel(BaseModel):
    """A model with running statistics. Samples can make their loss or gradients infinite or NaN."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.layer = nn.BatchNorm1d(3), nn.Linear(3, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        values = self.layer(self.norm(torch.stack(list(inputs))))
        if mode != 'loss':
            return list(values)
        losses = {'loss_a': (values - 3).square().mean(), 'loss_b': [values.abs().mean()]}
        losses['acc'] = values.detach().sum()
        for sample in data_samples:
            if sample.get('fault') == 'loss':
                losses['loss_c'] = values.sum() * torch.inf
            if sample.get('fault') == 'gradients':
                losses['loss_c'] = (0 * values.sum()).sqrt()
        return losses


def make_samples(count, faults=()):
    """Return samples of three values.

    ``faults`` maps an index to what is not finite: pixels, loss or gradients.
    """
    values = torch.randn(count, 3, generator=torch.Generator().manual_seed(1))
    samples = []
    for index, inputs in enumerate(values):
        fault = dict(faults).get(index)
        if fault == 'pixels':
            inputs[1] = torch.nan
        info = {'img_path': f'{index}.jpg', 'fault': fault}
        samples.append({'inputs': inputs, 'data_samples': BaseDataElement(metainfo=info)})
    return samples


def train(work_dir, data, max_consecutive=3, wrapper=(), **options):
    """Train with two images per batch, in order, and a checkpoint in every iteration.

    ``wrapper`` changes the optimizer wrapper. Return the runner.
    """
    loop = EPOCHS | {'max_epochs': 1}
    cfg = make_config(work_dir, loop, images=2, log_level='WARNING', param_scheduler=None).to_dict()
    cfg['default_hooks']['checkpoint']['max_keep_ckpts'] = 5
    cfg['default_hooks']['skip_nonfinite'] = {
        'type': 'mmgcvit.SkipNonFiniteStepHook',
        'max_consecutive': max_consecutive,
    }
    cfg['train_dataloader'] |= {
        'dataset': data,
        'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    }
    cfg['optim_wrapper'].update({'optimizer': {'type': 'AdamW', 'lr': 0.1}}, **dict(wrapper))
    runner = Runner(**cfg | {'model': TinyModel(), **options})
    runner.train()
    return runner


def get_state(runner):
    """Return weights, running statistics and optimizer state."""
    tensors = list(runner.model.state_dict().values())
    for state in runner.optim_wrapper.optimizer.state.values():
        tensors += state.values()
    return tensors


def are_finite(tensors):
    return all(torch.isfinite(tensor).all() for tensor in tensors)


def read_log(work_dir):
    return ''.join(path.read_text() for path in work_dir.glob('*/*.log'))


@pytest.mark.slow
@settings(max_examples=12)
@given(
    faults=st.dictionaries(
        st.integers(0, 15),
        st.sampled_from(['pixels', 'loss', 'gradients']),
        min_size=1,
        max_size=5,
    ),
    accumulated=st.sampled_from([1, 2]),
    clip=st.sampled_from([{}, {'clip_grad': {'max_norm': 1.0}}]),
)
def test_skipped_steps_leave_the_state_as_without_their_batches(
    faults, accumulated, clip, tmp_path_factory
):
    """Weights, running statistics and optimizer state are equal bit for bit; EMA and logs stay
    finite. The log names the images of each skipped step.
    """
    folder = tmp_path_factory.mktemp('runs')
    step_size = 2 * accumulated
    skipped = {index // step_size for index in faults}
    assume(not any({step, step + 1, step + 2} <= skipped for step in skipped))
    assume(len(skipped) * step_size < 16)
    wrapper = {'accumulative_counts': accumulated, **clip}
    runner = train(folder / 'with', make_samples(16, faults), wrapper=wrapper)
    samples = make_samples(16)
    kept = [samples[index] for index in range(16) if index // step_size not in skipped]
    expected = get_state(train(folder / 'without', kept, wrapper=wrapper))
    torch.testing.assert_close(get_state(runner), expected, rtol=0, atol=0)
    assert are_finite(expected)
    logged = []
    for step in sorted(skipped):
        names = [f'{index}.jpg' for index in range(step * step_size, (step + 1) * step_size)]
        logged.append((f'{(step + 1) * accumulated}', ', '.join(names)))
    pattern = r'Iteration (\d+): .* not finite.* Images: (.*)'
    assert re.findall(pattern, read_log(folder / 'with')) == logged
    assert runner.message_hub.get_info(SKIPPED_STEPS) == len(skipped)
    for path in (folder / 'with').glob('*.pth'):
        content = torch.load(path, weights_only=False)
        assert are_finite(content['ema_state_dict'].values())
        assert accumulated > 1 or are_finite(content['state_dict'].values())
    for name in ('loss', 'loss_a', 'loss_b', 'acc'):
        history, _ = runner.message_hub.get_scalar(f'train/{name}').data
        assert are_finite([torch.as_tensor(history)])


@pytest.mark.parametrize(
    ('faulty', 'max_consecutive', 'message'),
    [
        (
            (8, 10, 12),
            3,
            r'NaN or infinite in 3 consecutive steps, up to iteration 7\. .* learning rate '
            r'\(now 0\.1\), or check the images of the last step \(12\.jpg, 13\.jpg\)\. '
            r'.*from an earlier checkpoint\. To draw other .*randomness\.seed=\d',
        ),
        ((0,), 1, r'in 1 consecutive steps, up to iteration 1\. .*\(0\.jpg, 1\.jpg\)'),
    ],
)
def test_consecutive_skipped_steps_stop_a_run_with_finite_checkpoints(
    faulty, max_consecutive, message, tmp_path
):
    with pytest.raises(UserError, match=message):
        train(tmp_path, make_samples(20, dict.fromkeys(faulty, 'loss')), max_consecutive)
    for path in tmp_path.glob('*.pth'):
        assert are_finite(torch.load(path, weights_only=False)['state_dict'].values()), path


@pytest.mark.skipif(
    Version(torch.__version__) < Version('2.3'), reason='torch has no GradScaler for CPUs yet'
)
@pytest.mark.parametrize('fused', [False, True])
def test_steps_that_gradscaler_skips_to_adjust_its_scale_do_not_count(fused, tmp_path, monkeypatch):
    # mmengine's wrapper requires a GPU.
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(
        amp_optimizer_wrapper, 'GradScaler', partial(torch.amp.GradScaler, device='cpu')
    )
    wrapper = {
        'type': 'AmpOptimWrapper',
        'loss_scale': {'init_scale': 2.0**127},
        'optimizer': {'type': 'AdamW', 'lr': 0.01, 'fused': fused},
    }
    runner = train(tmp_path, make_samples(24), max_consecutive=1, wrapper=wrapper)
    assert runner.optim_wrapper.loss_scaler.get_scale() < 2.0**127, 'GradScaler has skipped steps'
    assert are_finite(get_state(runner))
    # Steps follow at a lower scale.
    assert not torch.equal(runner.model.layer.weight, TinyModel().layer.weight)
    assert 'not finite' not in read_log(tmp_path)


def train_in_two_processes(folder):
    """Train on every second of 16 images on each rank. Return the error that stops the run."""
    options = {'launcher': 'pytorch', 'cfg': {'model_wrapper_cfg': CPU_MODEL_WRAPPER}}
    with pytest.raises(UserError) as stopped:
        train(folder, make_samples(16, dict.fromkeys((4, 9, 13), 'loss')), **options)
    return str(stopped.value)


@pytest.mark.slow
def test_two_ranks_skip_the_same_steps_and_stop_together(tmp_path):
    """In each step, the loss is not finite on one rank only."""
    message, other = run_on_ranks(train_in_two_processes, [(tmp_path,)] * 2)
    assert 'NaN or infinite in 3 consecutive steps, up to iteration 4' in message
    assert other == message
    assert 'Images: 4.jpg, 6.jpg, 5.jpg, 7.jpg\n' in read_log(tmp_path)


@pytest.mark.parametrize('is_finite_elsewhere', [False, True])
def test_gradients_of_another_rank_that_are_not_finite_skip_the_step_here_too(
    is_finite_elsewhere, monkeypatch
):
    """With FullyShardedDataParallel each rank has other gradients."""

    def take_minimum(flag, operation):
        assert operation == 'min'
        flag.clamp_(max=int(is_finite_elsewhere))

    monkeypatch.setattr(skip_nonfinite, 'all_reduce', take_minimum)
    layer = nn.Linear(2, 1)
    layer(torch.ones(1, 2)).sum().backward()
    hook = SkipNonFiniteStepHook()
    hook.finite_steps = []
    hook.check_step(torch.optim.SGD(layer.parameters(), lr=1.0))
    assert hook.finite_steps == [is_finite_elsewhere]
    assert (layer.weight.grad is not None) == is_finite_elsewhere
