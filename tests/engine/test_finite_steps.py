"""Steps whose numbers are not finite are left out, as if their batches had not been; a run of only such ends."""

from functools import partial

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from packaging.version import Version
from torch import nn

from mmgcvit.checkpoints import read_checkpoint
from mmgcvit.engine.finite import MOST_BY_SCALER, FiniteStepsHook, tensors_of
from mmgcvit.errors import UserError

from ..conftest import ROOT
from ..processes import answers_of

NAN, INF = float('nan'), float('inf')


class Tiny(BaseModel):
    """A model with running statistics, whose loss or gradients go wrong at samples that say so."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.layer = nn.BatchNorm1d(3), nn.Linear(3, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        values = self.layer(self.norm(torch.stack(list(inputs))))
        if mode != 'loss':
            return list(values)
        losses = {'loss_a': (values - 3).square().mean(), 'loss_b': [values.abs().mean()], 'acc': values.detach().sum()}
        for sample in data_samples:
            if sample.get('fault') == 'loss':
                losses['loss_c'] = values.sum() + INF
            if sample.get('fault') == 'gradients':
                losses['loss_c'] = (0 * values.sum()).sqrt()
        return losses


def samples(count, faults=None):
    """Images of three numbers; ``faults`` says what is wrong with some."""
    numbers = torch.randn(count, 3, generator=torch.Generator().manual_seed(1))
    faults = faults or {}
    for index, fault in faults.items():
        if fault == 'pixels':
            numbers[index, 1] = NAN
    return [
        {
            'inputs': numbers[index],
            'data_samples': BaseDataElement(metainfo={'img_path': f'{index}.jpg', 'fault': faults.get(index)}),
        }
        for index in range(count)
    ]


def runner_of(work_dir, data, hooks=None, **options):
    """Two images a batch, in their order; a checkpoint every iteration."""
    runtime = Config.fromfile(ROOT / 'configs' / '_base_' / 'runtime_cls.py').default_hooks.to_dict()
    default_hooks = {name: runtime[name] for name in ('finite_steps', 'finite_checkpoints')}
    default_hooks['checkpoint'] = {'type': 'CheckpointHook', 'interval': 1, 'by_epoch': False, 'max_keep_ckpts': 5}
    settings = {
        'model': Tiny(),
        'work_dir': str(work_dir),
        'train_dataloader': {
            'dataset': data,
            'batch_size': 2,
            'num_workers': 0,
            'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        },
        'train_cfg': {'by_epoch': True, 'max_epochs': 1},
        'optim_wrapper': {'optimizer': {'type': 'AdamW', 'lr': 0.1}},
        'custom_hooks': [{'type': 'EMAHook'}],
        'default_hooks': default_hooks | (hooks or {}),
        'experiment_name': str(work_dir).replace('/', '_'),
        'log_level': 'WARNING',
    }
    return Runner(**settings | options)


def train(work_dir, data, **options):
    runner = runner_of(work_dir, data, **options)
    runner.train()
    return runner


def state_of(runner):
    """Weights, running statistics and moments."""
    moments = [entry for state in runner.optim_wrapper.optimizer.state.values() for entry in state.values()]
    return [*runner.model.state_dict().values(), *moments]


def logged(work_dir):
    return ''.join(path.read_text() for path in work_dir.glob('*/*.log'))


def check_same(runner, other):
    for found, expected in zip(state_of(runner), state_of(other), strict=True):
        assert torch.equal(found, expected)
        assert torch.isfinite(found).all()


def without(data, *left_out):
    return [sample for index, sample in enumerate(data) if index not in left_out]


@pytest.mark.parametrize('clip_grad', [None, {'max_norm': 1.0}], ids=['', 'clipped'])
@pytest.mark.parametrize(
    ('fault', 'names'), [('pixels', '3.jpg'), ('loss', '2.jpg, 3.jpg'), ('gradients', '2.jpg, 3.jpg')]
)
def test_a_step_with_a_fault_is_as_if_its_batch_had_not_been(tmp_path, fault, names, clip_grad):
    """To the last bit: weights, running statistics, the optimizer's moments. The log names the images."""
    options = {'optim_wrapper': {'optimizer': {'type': 'AdamW', 'lr': 0.1}, 'clip_grad': clip_grad}}
    runner = train(tmp_path / 'a', samples(8, {3: fault}), **options)
    check_same(runner, train(tmp_path / 'b', without(samples(8), 2, 3), **options))
    what = 'the gradients are' if fault == 'gradients' else 'the loss is'
    assert f'Iteration 2: {what} not finite' in logged(tmp_path / 'a')
    assert f'Images: {names}\n' in logged(tmp_path / 'a')


def test_the_moving_average_and_the_log_stay_finite(tmp_path):
    runner = train(tmp_path, samples(8, {0: 'pixels', 5: 'loss'}))
    check_finite(tmp_path / 'iter_4.pth')
    for name in ('loss', 'loss_a', 'loss_b', 'acc'):
        history, _ = runner.message_hub.get_scalar(f'train/{name}').data
        assert torch.isfinite(torch.as_tensor(history)).all()


def test_faults_that_are_not_in_a_row_end_no_run(tmp_path):
    faults = dict.fromkeys((0, 2, 6, 8, 12), 'loss')
    runner = train(tmp_path, samples(16, faults))
    check_same(runner, train(tmp_path / 'b', without(samples(16), *faults, *(index + 1 for index in faults))))


def check_finite(path):
    content = read_checkpoint(str(path))
    for name, tensor in tensors_of(
        {part: content.get(part, {}) for part in ('state_dict', 'ema_state_dict', 'optimizer')}
    ):
        assert torch.isfinite(tensor).all(), name


def test_so_many_in_a_row_end_it_and_the_good_checkpoint_is_named_and_stays(tmp_path):
    """That of iteration 4 is as good, but only a step after it would show."""
    sentence = (
        r'not finite in 3 steps in a row, up to iteration 7, and the run has ended.* learning rate \(0\.1\) or mend '
        r'the images of the last one \(12\.jpg, 13\.jpg\)\. The last checkpoint after which a step was finite is '
        r'\S+iter_3\.pth: .* --resume \S+iter_3\.pth$'
    )
    with pytest.raises(UserError, match=sentence):
        train(tmp_path, samples(20, dict.fromkeys((8, 10, 12), 'loss')))
    assert (tmp_path / 'iter_3.pth').is_file()
    for path in tmp_path.glob('*.pth'):
        check_finite(path)


def test_without_a_good_checkpoint_none_is_named(tmp_path):
    with pytest.raises(UserError, match=r'After \S+iter_2\.pth, the newest checkpoint, no step was finite: begin anew'):
        train(tmp_path, samples(20, dict.fromkeys(range(20), 'loss')))


def test_how_many_is_a_setting(tmp_path):
    hooks = {'finite_steps': {'type': 'mmgcvit.FiniteStepsHook', 'most_in_a_row': 1}}
    with pytest.raises(
        UserError,
        match=r'in a step, up to iteration 1, .*last one \(0\.jpg\)\. No checkpoint has been saved: begin anew$',
    ):
        train(tmp_path, samples(4, {0: 'pixels'}), hooks=hooks)


def test_without_the_setting_it_is_three(tmp_path):
    hooks = {'finite_steps': {'type': 'mmgcvit.FiniteStepsHook'}}
    with pytest.raises(UserError, match='in 3 steps in a row'):
        train(tmp_path, samples(20, dict.fromkeys(range(20), 'loss')), hooks=hooks)


def test_a_learning_rate_that_bursts_the_weights_ends_the_run(tmp_path):
    optimizer = {'type': 'SGD', 'lr': 1e30}
    with pytest.raises(UserError, match=r'Lower the learning rate'):
        train(tmp_path, samples(40), optim_wrapper={'optimizer': optimizer})
    for path in tmp_path.glob('*.pth'):
        check_finite(path)


@pytest.mark.parametrize('fault', ['pixels', 'loss', 'gradients'])
@pytest.mark.parametrize('at', [4, 7])
def test_of_accumulated_gradients_all_are_left_out(tmp_path, fault, at):
    """Iterations 3 and 4 make one step; only the images of the one with the fault are named where the loss tells."""
    options = {'optim_wrapper': {'optimizer': {'type': 'AdamW', 'lr': 0.1}, 'accumulative_counts': 2}}
    runner = train(tmp_path / 'a', samples(12, {at: fault}), **options)
    check_same(runner, train(tmp_path / 'b', without(samples(12), 4, 5, 6, 7), **options))
    named = {'pixels': f'{at}.jpg', 'loss': '4.jpg, 5.jpg' if at == 4 else '6.jpg, 7.jpg'}
    assert f'Images: {named.get(fault, "4.jpg, 5.jpg, 6.jpg, 7.jpg")}\n' in logged(tmp_path / 'a')


@pytest.fixture
def scaler_on_cpu(monkeypatch):
    """mmengine's wrapper with torch's GradScaler on the CPU."""
    if Version(torch.__version__) < Version('2.3'):
        pytest.skip('torch has none for CPUs yet')
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', partial(torch.amp.GradScaler, device='cpu'))


def scaled(loss_scale, dtype=None, **options):
    """A loss scale beyond which gradients of the toy overflow. No dtype is float16 on GPUs, and runs on CPUs."""
    wrapper = {'type': 'AmpOptimWrapper', 'dtype': dtype, 'loss_scale': loss_scale}
    return {'optim_wrapper': wrapper | {'optimizer': {'type': 'AdamW', 'lr': 0.01}} | options}


ONE_ENDS_IT = {'finite_steps': {'type': 'mmgcvit.FiniteStepsHook', 'most_in_a_row': 1}}


@pytest.mark.parametrize('options', [{}, {'optimizer': {'type': 'AdamW', 'lr': 0.01, 'fused': True}}])
def test_what_the_scaler_leaves_out_is_no_fault(tmp_path, scaler_on_cpu, options):
    runner = train(tmp_path, samples(24), hooks=ONE_ENDS_IT, **scaled({'init_scale': 2.0**127}, **options))
    assert runner.optim_wrapper.loss_scaler.get_scale() < 2.0**127, 'it has left out steps'
    assert all(torch.isfinite(tensor).all() for tensor in state_of(runner))
    assert not torch.equal(runner.model.layer.weight, Tiny().layer.weight), 'it has found its scale'
    assert 'not finite' not in logged(tmp_path)


@pytest.mark.parametrize('fault', ['pixels', 'loss'])
def test_under_the_scaler_a_loss_is_a_fault(tmp_path, scaler_on_cpu, fault):
    with pytest.raises(UserError, match=r'up to iteration 4'):
        train(tmp_path, samples(12, {6: fault}), hooks=ONE_ENDS_IT, **scaled('dynamic'))


def test_a_scale_at_which_gradients_are_never_finite_ends_the_run(tmp_path, scaler_on_cpu):
    with pytest.raises(UserError, match=r'up to iteration 33'):
        train(tmp_path, samples(80), hooks=ONE_ENDS_IT, **scaled(2.0**127))


def test_in_bfloat16_there_is_no_scale_to_be_looked_for(tmp_path, scaler_on_cpu):
    with pytest.raises(UserError, match=r'up to iteration 1'):
        train(tmp_path, samples(12), hooks=ONE_ENDS_IT, **scaled(2.0**127, 'bfloat16'))


@pytest.mark.parametrize(
    ('training', 'outputs'), [(False, {'loss': torch.tensor(NAN)}), (True, [torch.tensor(NAN)])], ids=['eval', 'tensor']
)
def test_what_is_no_loss_of_training_is_not_judged(training, outputs):
    hook = FiniteStepsHook()
    hook.note_loss(nn.Identity().train(training), (), outputs)
    assert hook.losses == []


def test_after_training_nothing_is_judged(tmp_path):
    runner = train(tmp_path, samples(4))
    hook = next(hook for hook in runner.hooks if isinstance(hook, FiniteStepsHook))
    batch = next(iter(runner.train_dataloader))
    runner.model.train()(**batch, mode='loss')
    runner.optim_wrapper.optimizer.step()
    assert (hook.losses, hook.is_finite) == ([], None)


@pytest.mark.parametrize('values', [(1.0, 1.0), (NAN, 1.0), (1.0, NAN), (NAN, NAN)])
def test_of_several_optimizers_each_is_judged(values):
    hook = FiniteStepsHook()
    for value in values:
        parameter = nn.Parameter(torch.ones(1))
        parameter.grad = torch.tensor([value])
        hook.judge_step(torch.optim.SGD([parameter]), (), {})
        assert (parameter.grad is None) == (value is NAN)
    assert hook.is_finite == (NAN not in values)


def test_the_scaler_begins_to_count_anew_after_a_step():
    hook, wrapper = FiniteStepsHook(), AmpOptimWrapper.__new__(AmpOptimWrapper)
    wrapper.cast_dtype = torch.float16
    for _ in range(2):
        hook.is_finite = True
        assert not hook.is_fault(wrapper)
        hook.is_finite = None
        assert [hook.is_fault(wrapper) for _ in range(MOST_BY_SCALER + 1)] == [False] * MOST_BY_SCALER + [True]


def test_a_process_without_gradients_judges_its_losses():
    """As one has whose shares of a sharded model are empty."""
    parameter, empty = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(0))
    empty.grad = torch.ones(0)
    hook = FiniteStepsHook()
    hook.judge_step(torch.optim.SGD([parameter, empty]), (), {})
    assert hook.is_finite
    hook.losses = [torch.tensor(NAN)]
    hook.judge_step(torch.optim.SGD([parameter, empty]), (), {})
    assert not hook.is_finite


def train_in_two_processes(work_dir, faults):
    """What each does: of 16 images every other one; the weights after it, or how it ended."""
    wrapper = {'type': 'MMDistributedDataParallel', 'device_ids': None, 'broadcast_buffers': False}
    options = {'launcher': 'pytorch', 'cfg': {'model_wrapper_cfg': wrapper}}
    try:
        runner = train(work_dir, samples(16, faults), **options)
    except UserError as error:
        return str(error)
    return [tensor.numpy() for tensor in runner.model.module.layer.state_dict().values()]


def in_two_processes(work_dir, faults):
    environments = [{'LOCAL_RANK': str(rank)} for rank in range(2)]
    return answers_of(train_in_two_processes, [(work_dir, faults)] * 2, environments)


@pytest.mark.slow
def test_two_processes_leave_out_the_same_steps(tmp_path):
    """The loss of one only is not finite, and its gradients are."""
    results = in_two_processes(tmp_path / 'a', {5: 'loss'})
    expected = in_two_processes(tmp_path / 'b', dict.fromkeys(range(4, 8), 'loss'))
    for found, other in zip(results[0] + results[1], expected[0] + expected[1], strict=True):
        assert (found == other).all()
    assert 'Images: 5.jpg, 7.jpg\n' in logged(tmp_path / 'a')


@pytest.mark.slow
def test_two_processes_end_together(tmp_path):
    ended = in_two_processes(tmp_path, dict.fromkeys((4, 9, 13), 'loss'))
    assert ended[0] == ended[1]
    assert 'not finite in 3 steps in a row' in ended[0]


@pytest.mark.parametrize('count', [0, -1, 1.5, True, None])
def test_a_number_of_steps_that_is_none_is_refused(count):
    with pytest.raises(ValueError, match='expected a positive number'):
        FiniteStepsHook(count)


@pytest.mark.parametrize('task', ['cls', 'det', 'seg'])
def test_every_runtime_has_the_hooks(task):
    hooks = Config.fromfile(ROOT / 'configs' / '_base_' / f'runtime_{task}.py').default_hooks
    assert hooks.finite_steps.type == 'mmgcvit.FiniteStepsHook'
    assert hooks.finite_checkpoints.type == 'mmgcvit.FiniteCheckpointsHook'


def test_a_run_that_is_resumed_counts_on(tmp_path):
    """Of three steps in a row the run ends at the third, wherever it was interrupted."""
    train(tmp_path, samples(8, dict.fromkeys((4, 6), 'loss')))
    settings = {'resume': True, 'load_from': str(tmp_path / 'iter_4.pth'), 'experiment_name': 'resumed'}
    runner = runner_of(tmp_path, samples(12, {0: 'loss'}), **settings)
    with pytest.raises(UserError, match='not finite in 3 steps in a row'):
        runner.train()
