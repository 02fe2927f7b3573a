"""Steps that are not finite are skipped, as if their batches had not been there, and are saved in no checkpoint."""

from functools import partial

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from packaging.version import Version
from torch import nn

from mmgcvit.engine.hooks.skip_nonfinite import SKIPPED_STEPS
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
    numbers[[index for index, fault in faults.items() if fault == 'pixels'], 1] = NAN
    return [
        {
            'inputs': numbers[index],
            'data_samples': BaseDataElement(metainfo={'img_path': f'{index}.jpg', 'fault': faults.get(index)}),
        }
        for index in range(count)
    ]


CHECKPOINTS = {'type': 'CheckpointHook', 'interval': 1, 'by_epoch': False, 'max_keep_ckpts': 5}


def runner_of(work_dir, data, hooks=None, **options):
    """Two images a batch, in their order; a checkpoint every iteration."""
    runtime = Config.fromfile(ROOT / 'configs' / '_base_' / 'runtime_cls.py').default_hooks.to_dict()
    default_hooks = {name: runtime[name] for name in ('runtime_info', 'skip_nonfinite')}
    default_hooks['checkpoint'] = CHECKPOINTS | {'type': 'mmgcvit.AtomicCheckpointHook'}
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


def adamw(fused=False, **options):
    return {'optim_wrapper': {'optimizer': {'type': 'AdamW', 'lr': 0.1, 'fused': fused}, **options}}


FUSED_ON_CPUS = Version(torch.__version__) >= Version('2.4')


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.skipif(not FUSED_ON_CPUS, reason='none on CPUs'))])
def fused(request):
    """Whether the optimizer skips a step on the device."""
    return request.param


@pytest.mark.parametrize('clip', [{}, {'clip_grad': {'max_norm': 1.0}}], ids=['', 'clipped'])
def test_a_skipped_step_is_as_if_its_batch_had_not_been_there(tmp_path, fused, clip):
    """To the last bit: weights, running statistics, the optimizer's state. The log names the images."""
    options = adamw(fused, **clip)
    expected = train(tmp_path / 'expected', without(samples(8), 2, 3), **options)
    for fault, cause, images in (
        ('pixels', 'the loss is', '3.jpg'),
        ('loss', 'the loss is', '2.jpg, 3.jpg'),
        ('gradients', 'the gradients are', '2.jpg, 3.jpg'),
    ):
        runner = train(tmp_path / fault, samples(8, {3: fault}), **options)
        check_same(runner, expected)
        assert f'Iteration 2: {cause} not finite' in logged(tmp_path / fault)
        assert f'Images: {images}\n' in logged(tmp_path / fault)
        assert runner.message_hub.get_info(SKIPPED_STEPS) == 1


def test_all_gradients_of_an_accumulated_step_are_skipped(tmp_path, fused):
    """Iterations 3 and 4 make one step."""
    options = adamw(fused, accumulative_counts=2)
    expected = train(tmp_path / 'expected', without(samples(12), 4, 5, 6, 7), **options)
    for at in (4, 7):
        for fault in ('pixels', 'loss', 'gradients'):
            folder = tmp_path / f'{fault} {at}'
            check_same(train(folder, samples(12, {at: fault}), **options), expected)
            assert f'{at}.jpg' in logged(folder)


def test_skipped_steps_that_are_not_in_a_row_do_not_stop_a_run_and_average_and_log_stay_finite(tmp_path, fused):
    faults, options = dict.fromkeys((0, 2, 6, 8, 12), 'loss'), adamw(fused, clip_grad={'max_norm': 9.0})
    runner = train(tmp_path / 'a', samples(16, faults), **options)
    skipped = [index + offset for index in faults for offset in (0, 1)]
    check_same(runner, train(tmp_path / 'b', without(samples(16), *skipped), **options))
    for path in (tmp_path / 'a').glob('*.pth'):
        content = torch.load(path, weights_only=False)
        for tensor in (*content['state_dict'].values(), *content['ema_state_dict'].values()):
            assert torch.isfinite(tensor).all()
    for name in ('loss', 'loss_a', 'loss_b', 'acc', 'grad_norm'):
        history, _ = runner.message_hub.get_scalar(f'train/{name}').data
        assert torch.isfinite(torch.as_tensor(history)).all()


def skip_nonfinite(**settings):
    return {'skip_nonfinite': {'type': 'mmgcvit.SkipNonFiniteStepHook', **settings}}


STOPS = {
    'three in a row': (
        {'data': samples(20, dict.fromkeys((8, 10, 12), 'loss'))},
        r'not finite in 3 steps in a row, up to iteration 7; .* learning rate \(0\.1\), or check the images of the '
        r'last step \(12\.jpg, 13\.jpg\); .*--resume CHECKPOINT$',
    ),
    'the number is a setting': (
        {'data': samples(4, {0: 'pixels'}), 'hooks': skip_nonfinite(max_consecutive=1)},
        r'in 1 steps in a row, up to iteration 1; .*\(0\.jpg\)',
    ),
    'a learning rate that makes the weights infinite': (
        {'data': samples(40), 'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 1e30}}},
        r'ower the learning rate',
    ),
}


@pytest.mark.parametrize('case', STOPS)
def test_several_in_a_row_stop_a_run_with_only_finite_checkpoints(case, tmp_path, fused):
    options, message = STOPS[case]
    with pytest.raises(UserError, match=message):
        train(tmp_path, **adamw(fused) | options)
    for path in tmp_path.glob('*.pth'):
        assert all(torch.isfinite(x).all() for x in torch.load(path, weights_only=False)['state_dict'].values()), path


@pytest.fixture
def amp_on_cpu(monkeypatch):
    """Have mmengine's wrapper, which demands a GPU, use torch's GradScaler for CPUs."""
    if Version(torch.__version__) < Version('2.3'):
        pytest.skip('torch has no GradScaler for CPUs yet')
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', partial(torch.amp.GradScaler, device='cpu'))


@pytest.mark.usefixtures('amp_on_cpu')
@pytest.mark.parametrize('fused', [False, True])
def test_steps_that_gradscaler_skips_while_it_looks_for_its_scale_do_not_count(fused, tmp_path):
    optimizer = {'type': 'AdamW', 'lr': 0.01, 'fused': fused}
    wrapper = {'type': 'AmpOptimWrapper', 'loss_scale': {'init_scale': 2.0**127}, 'optimizer': optimizer}
    runner = train(tmp_path, samples(24), hooks=skip_nonfinite(max_consecutive=1), optim_wrapper=wrapper)
    assert runner.optim_wrapper.loss_scaler.get_scale() < 2.0**127, 'it has skipped steps'
    assert all(torch.isfinite(tensor).all() for tensor in state_of(runner))
    assert not torch.equal(runner.model.layer.weight, Tiny().layer.weight), 'it has found its scale'
    assert 'not finite' not in logged(tmp_path)


def train_in_two_processes(folder, fused):
    """Train on every other of 16 images in each process; the weights after it, or how it ended."""
    wrapper = {'type': 'MMDistributedDataParallel', 'device_ids': None, 'broadcast_buffers': False}
    options = {'launcher': 'pytorch', 'cfg': {'model_wrapper_cfg': wrapper}, **adamw(fused)}
    results = []
    for name, faults in (('one', {5: 'loss'}), ('both', dict.fromkeys(range(4, 8), 'loss'))):
        runner = train(folder / name, samples(16, faults), **options)
        results.append([tensor.tolist() for tensor in runner.model.module.layer.state_dict().values()])
    try:
        train(folder / 'ended', samples(16, dict.fromkeys((4, 9, 13), 'loss')), **options)
    except UserError as error:
        return *results, str(error)


@pytest.mark.slow
def test_two_processes_skip_the_same_steps_and_stop_together(tmp_path, fused):
    """The loss of one process only is not finite."""
    environments = [{'LOCAL_RANK': str(rank)} for rank in range(2)]
    (one, both, ended), other = answers_of(train_in_two_processes, [(tmp_path, fused)] * 2, environments)
    assert one == both
    assert other == (one, both, ended)
    assert 'Images: 4.jpg, 6.jpg, 5.jpg, 7.jpg\n' in logged(tmp_path / 'one')
    assert 'not finite in 3 steps in a row' in ended
