"""Steps whose numbers are not finite are left out, as if their batches had not been, and are in no checkpoint."""

from functools import partial

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from packaging.version import Version
from torch import nn

from mmgcvit.checkpoints import read_checkpoint
from mmgcvit.engine.finite import MOST_BY_SCALER, FiniteStepsHook, tensors_of
from mmgcvit.engine.late import LateNumbers
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
    default_hooks = {name: runtime[name] for name in ('runtime_info', 'finite_steps', 'finite_checkpoints')}
    default_hooks['checkpoint'] = CHECKPOINTS | {'type': 'mmgcvit.WholeCheckpointHook'}
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
    """Whether the optimizer leaves a step out on the device."""
    return request.param


@pytest.mark.parametrize('clip', [{}, {'clip_grad': {'max_norm': 1.0}}], ids=['', 'clipped'])
def test_a_step_with_a_fault_is_as_if_its_batch_had_not_been(tmp_path, fused, clip):
    """To the last bit: weights, running statistics, the optimizer's moments. The log names the images."""
    options = adamw(fused, **clip)
    whole = train(tmp_path / 'whole', without(samples(8), 2, 3), **options)
    for fault, what, images in (
        ('pixels', 'the loss is', '3.jpg'),
        ('loss', 'the loss is', '2.jpg, 3.jpg'),
        ('gradients', 'the gradients are', '2.jpg, 3.jpg'),
    ):
        check_same(train(tmp_path / fault, samples(8, {3: fault}), **options), whole)
        assert f'Iteration 2: {what} not finite' in logged(tmp_path / fault)
        assert f'Images: {images}\n' in logged(tmp_path / fault)


def test_it_is_left_out_too_where_something_was_compiled_before(tmp_path):
    """torch 2.1 then takes from optimizers the calls of their hooks; a scheduler holds on to the step that it finds."""
    torch.compile(nn.Identity(), backend='eager')
    for name, schedule in (('constant', None), ('schedule', {'type': 'ConstantLR', 'factor': 1.0})):
        expected = train(tmp_path / f'{name} without', without(samples(6), 2, 3), param_scheduler=schedule)
        check_same(train(tmp_path / name, samples(6, {2: 'pixels'}), param_scheduler=schedule), expected)


def test_of_accumulated_gradients_all_are_left_out(tmp_path, fused):
    """Iterations 3 and 4 make one step; only the images of the one with the fault are named where the loss tells."""
    options = adamw(fused, accumulative_counts=2)
    whole = train(tmp_path / 'whole', without(samples(12), 4, 5, 6, 7), **options)
    for at in (4, 7):
        named = {'pixels': f'{at}.jpg', 'loss': '4.jpg, 5.jpg' if at == 4 else '6.jpg, 7.jpg'}
        for fault in ('pixels', 'loss', 'gradients'):
            folder = tmp_path / f'{fault} {at}'
            check_same(train(folder, samples(12, {at: fault}), **options), whole)
            assert f'Images: {named.get(fault, "4.jpg, 5.jpg, 6.jpg, 7.jpg")}\n' in logged(folder)


def test_faults_that_are_not_in_a_row_end_no_run_and_average_and_log_stay_finite(tmp_path, fused):
    faults, options = dict.fromkeys((0, 2, 6, 8, 12), 'loss'), adamw(fused, clip_grad={'max_norm': 9.0})
    runner = train(tmp_path / 'a', samples(16, faults), **options)
    check_same(
        runner, train(tmp_path / 'b', without(samples(16), *faults, *(index + 1 for index in faults)), **options)
    )
    check_finite(tmp_path / 'a' / 'iter_8.pth')
    for name in ('loss', 'loss_a', 'loss_b', 'acc', 'grad_norm'):
        history, _ = runner.message_hub.get_scalar(f'train/{name}').data
        assert torch.isfinite(torch.as_tensor(history)).all()


def check_finite(path):
    content = read_checkpoint(str(path))
    parts = {part: content.get(part, {}) for part in ('state_dict', 'ema_state_dict', 'optimizer')}
    for name, tensor in tensors_of(parts):
        assert torch.isfinite(tensor).all(), name


def finite_steps(**settings):
    return {'finite_steps': {'type': 'mmgcvit.FiniteStepsHook', **settings}}


ALL = dict.fromkeys(range(40), 'loss')
ENDS = {
    # That of iteration 4 is as good, but only a step after it would show.
    'the good checkpoint is named and stays': (
        {'data': samples(20, dict.fromkeys((8, 10, 12), 'loss'))},
        r'not finite in 3 steps in a row, up to iteration 7, and the run has ended.* learning rate \(0\.1\) or mend '
        r'the images of the last one \(12\.jpg, 13\.jpg\)\. The last checkpoint after which a step was finite is '
        r'\S+iter_3\.pth: .* --resume \S+iter_3\.pth$',
    ),
    'without a good one none is named': (
        {'data': samples(20, ALL)},
        r'After \S+iter_2\.pth, the newest checkpoint, no step was finite: begin anew',
    ),
    "with mmengine's hook that saves likewise": (
        {'data': samples(20, ALL), 'hooks': {'checkpoint': CHECKPOINTS}},
        r'After \S+iter_2\.pth, the newest checkpoint, no step was finite: begin anew',
    ),
    'how many is a setting': (
        {'data': samples(4, {0: 'pixels'}), 'hooks': finite_steps(most_in_a_row=1)},
        r'in a step, up to iteration 1, .*last one \(0\.jpg\)\. No checkpoint has been saved: begin anew$',
    ),
    'without it three': ({'data': samples(20, ALL), 'hooks': finite_steps()}, 'in 3 steps in a row'),
    'a rate that bursts the weights': (
        {'data': samples(40), 'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 1e30}}},
        r'Lower the learning rate \(1e\+30\)',
    ),
}


@pytest.mark.parametrize('case', ENDS)
def test_so_many_in_a_row_end_a_run_with_only_finite_checkpoints(case, tmp_path, fused):
    options, message = ENDS[case]
    with pytest.raises(UserError, match=message):
        train(tmp_path, **adamw(fused) | options)
    for path in tmp_path.glob('*.pth'):
        check_finite(path)


def test_a_run_that_is_resumed_counts_on(tmp_path):
    """Of three steps in a row the run ends at the third, wherever it was interrupted."""
    train(tmp_path, samples(8, dict.fromkeys((4, 6), 'loss')))
    settings = {'resume': True, 'load_from': str(tmp_path / 'iter_4.pth'), 'experiment_name': 'resumed'}
    with pytest.raises(UserError, match='not finite in 3 steps in a row'):
        train(tmp_path, samples(12, {0: 'loss'}), **settings)


class TestGradScaler:
    """mmengine's wrapper with torch's GradScaler, on the CPU."""

    @pytest.fixture(autouse=True)
    def on_cpu(self, monkeypatch):
        if Version(torch.__version__) < Version('2.3'):
            pytest.skip('torch has none for CPUs yet')
        monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
        monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', partial(torch.amp.GradScaler, device='cpu'))

    def train(self, work_dir, data, loss_scale, dtype=None, **options):
        """The first fault ends it. No dtype is float16 on GPUs, and runs on CPUs."""
        wrapper = {'type': 'AmpOptimWrapper', 'dtype': dtype, 'loss_scale': loss_scale}
        wrapper['optimizer'] = {'type': 'AdamW', 'lr': 0.01, **options}
        return train(work_dir, data, hooks=finite_steps(most_in_a_row=1), optim_wrapper=wrapper)

    def test_what_it_leaves_out_while_it_looks_for_its_scale_is_no_fault(self, tmp_path):
        for name, options in (('plain', {}), ('fused', {'fused': True})):
            runner = self.train(tmp_path / name, samples(24), {'init_scale': 2.0**127}, **options)
            assert runner.optim_wrapper.loss_scaler.get_scale() < 2.0**127, 'it has left out steps'
            assert all(torch.isfinite(tensor).all() for tensor in state_of(runner))
            assert not torch.equal(runner.model.layer.weight, Tiny().layer.weight), 'it has found its scale'
            assert 'not finite' not in logged(tmp_path / name)

    @pytest.mark.parametrize(
        ('data', 'scale', 'dtype', 'iteration'),
        [
            (samples(12, {6: 'pixels'}), 'dynamic', None, 4),
            (samples(12, {6: 'loss'}), 'dynamic', None, 4),
            (samples(80), 2.0**127, None, MOST_BY_SCALER + 1),
            (samples(12), 2.0**127, 'bfloat16', 1),
        ],
        ids=['pixels', 'loss', 'a scale that is never found', 'bfloat16, where there is none to look for'],
    )
    def test_others_are(self, data, scale, dtype, iteration, tmp_path, fused):
        with pytest.raises(UserError, match=rf'up to iteration {iteration}\b'):
            self.train(tmp_path, data, scale, dtype, fused=fused)

    def test_it_begins_to_count_anew_after_a_step(self):
        hook = FiniteStepsHook()
        for _ in range(2):
            assert not hook.is_fault(is_finite=True, by_scaler=False)
            found = [hook.is_fault(is_finite=True, by_scaler=True) for _ in range(MOST_BY_SCALER + 1)]
            assert found == [False] * MOST_BY_SCALER + [True]


def test_only_losses_of_training_are_judged_and_only_while_it_lasts(tmp_path):
    hook = FiniteStepsHook()
    for training, outputs in ((False, {'loss': torch.tensor(NAN)}), (True, [torch.tensor(NAN)])):
        hook.note_loss(nn.Identity().train(training), (), outputs)
    assert hook.losses == []
    runner = train(tmp_path, samples(4))
    hook = next(hook for hook in runner.hooks if isinstance(hook, FiniteStepsHook))
    runner.model.train()(**next(iter(runner.train_dataloader)), mode='loss')
    runner.optim_wrapper.optimizer.step()
    assert (hook.losses, hook.verdicts, hook.judged) == ([], [], None)


def test_of_several_optimizers_each_is_judged_and_a_process_without_gradients_judges_its_losses():
    """As one has whose shares of a sharded model are empty."""
    for values in ((1.0, 1.0), (NAN, 1.0), (1.0, NAN), (NAN, NAN)):
        hook = FiniteStepsHook()
        for value in values:
            parameter = nn.Parameter(torch.ones(1))
            parameter.grad = torch.tensor([value])
            hook.judge_step(torch.optim.SGD([parameter], lr=0.1), (), {})
            assert (parameter.grad is None) == (value is NAN)
        assert all(hook.verdicts) == (NAN not in values)
    empty = nn.Parameter(torch.ones(0))
    empty.grad = torch.ones(0)
    for losses, is_finite in (([], True), ([torch.tensor(NAN)], False)):
        hook = FiniteStepsHook()
        hook.losses = losses
        hook.judge_step(torch.optim.SGD([nn.Parameter(torch.ones(2)), empty], lr=0.1), (), {})
        assert hook.verdicts == [is_finite]


def test_the_host_reads_a_verdict_an_iteration_later_and_before_a_checkpoint(tmp_path, monkeypatch):
    read = []

    def now():
        return MessageHub.get_current_instance().get_info('iter')

    class Watched(LateNumbers):
        def __init__(self, numbers):
            super().__init__(numbers)
            self.made = now()

        def read(self):
            read.append((self.made, now()))
            return super().read()

    monkeypatch.setattr('mmgcvit.engine.finite.LateNumbers', Watched)
    checkpoints = {'type': 'mmgcvit.WholeCheckpointHook', 'by_epoch': False, 'interval': 4}
    train(tmp_path, samples(12), hooks={'checkpoint': checkpoints})
    assert read == [(0, 1), (1, 2), (2, 3), (3, 3), (4, 5), (5, 5)]


def test_a_number_of_steps_that_is_none_is_refused():
    for count in (0, -1, 1.5, True, None):
        with pytest.raises(ValueError, match='expected a positive number'):
            FiniteStepsHook(count)


def train_in_two_processes(folder, fused):
    """What each does: of 16 images every other one; the weights after it, or how it ended."""
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
def test_two_processes_leave_out_the_same_steps_and_end_together(tmp_path, fused):
    """The loss of one only is not finite, and its gradients are."""
    environments = [{'LOCAL_RANK': str(rank)} for rank in range(2)]
    (one, both, ended), other = answers_of(train_in_two_processes, [(tmp_path, fused)] * 2, environments)
    assert one == both
    assert other == (one, both, ended)
    assert 'Images: 5.jpg, 7.jpg\n' in logged(tmp_path / 'one')
    assert 'not finite in 3 steps in a row' in ended


def test_every_runtime_has_the_hooks():
    for task in ('cls', 'det', 'seg'):
        hooks = Config.fromfile(ROOT / 'configs' / '_base_' / f'runtime_{task}.py').default_hooks
        for name in ('LateRuntimeInfo', 'FiniteSteps', 'FiniteCheckpoints', 'ExactResume', 'EndEarly'):
            assert f'mmgcvit.{name}Hook' in {hook.type for hook in hooks.values()}, (task, name)
    assert hooks.checkpoint.type == 'mmgcvit.WholeCheckpointHook'
    hooks = Config.fromfile(ROOT / 'configs' / '_base_' / 'runtime_det.py').default_hooks
    assert hooks.finite_predictions.type == 'mmgcvit.FinitePredictionsHook'


def test_what_is_not_finite_is_not_saved(tmp_path):
    runner = train(tmp_path, samples(8))
    model, ema = runner.model, next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    moments = runner.optim_wrapper.optimizer.state[model.layer.weight]
    for tensor, value, name in (
        (model.layer.weight, NAN, r'ema_state_dict\.module\.layer\.weight'),
        (model.norm.running_var, INF, r'norm\.running_var'),
        (ema.ema_model.module.layer.bias, -INF, r'state_dict\.layer\.bias'),
        (moments['exp_avg_sq'], INF, r'optimizer\.state\.2\.exp_avg_sq'),
    ):
        before = tensor.detach().clone()
        tensor.data.flatten()[0] = value
        with pytest.raises(UserError, match=rf'^1 tensors.*{name}.* not saved, and the run.*--resume \S+iter_3\.pth'):
            runner.save_checkpoint(str(tmp_path), 'iter_5.pth')
        assert not (tmp_path / 'iter_5.pth').exists()
        tensor.data.copy_(before)


def test_a_mask_of_infinities_is_saved_and_statistics_that_were_loaded_so_are_not(tmp_path):
    """These are so by design, those are not."""
    runner = runner_of(tmp_path / 'mask', samples(4))
    runner.model.register_buffer('mask', torch.full((2, 2), -INF).triu(1))
    runner.train()
    assert (tmp_path / 'mask' / 'iter_2.pth').is_file()
    runner = runner_of(tmp_path / 'statistics', samples(8))
    runner.model.norm.running_var[1] = INF
    with pytest.raises(UserError, match=r'^\d+ tensors are not finite at iteration 1 .*norm\.running_var'):
        runner.train()
