"""Groups of parameters are merged and steps fused, and nothing but speed changes; earlier checkpoints go on in them."""

import copy
from functools import partial
from unittest import mock

import pytest
import torch
from mmengine.optim import LinearLR, MultiStepLR, build_optim_wrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import MODELS, init_default_scope
from packaging.version import Version
from torch import nn

from mmgcvit.engine.optim import MergesGroups

from ..configs.models import read

OURS = 'mmgcvit.GroupedParamsOptimWrapperConstructor'
LAYERS = 'mmgcvit.LayerDecayOptimWrapperConstructor'
DECAY = {'norm_decay_mult': 0.0, 'custom_keys': {'relative_position': {'decay_mult': 0.0}}}
BY_BACKBONE = {'custom_keys': {'backbone': {'lr_mult': 0.1}, 'backbone.norm': {'lr_mult': 0.1, 'decay_mult': 0.0}}}
# Of CPUs.
HAS_FUSED = Version(torch.__version__) >= Version('2.4')


@pytest.fixture(scope='module')
def detector():
    """A detector with real heads."""
    cfg = read('demo/mask_rcnn_gcvit_digits')
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


class Training:
    """A model's optimizer and schedules, made by a constructor, and steps by gradients that follow from the weights."""

    def __init__(self, model, constructor, rules, **settings):
        self.model = copy.deepcopy(model)
        self.wrapper = build_optim_wrapper(
            self.model,
            {
                'optimizer': {'type': 'AdamW', 'lr': 1e-3, 'weight_decay': 0.05, **settings},
                'constructor': constructor,
                'paramwise_cfg': copy.deepcopy(rules),
            },
        )
        self.schedules = [LinearLR(self.wrapper, start_factor=0.1, end=4), MultiStepLR(self.wrapper, milestones=[6])]
        self.steps = 0

    @property
    def groups(self):
        return self.wrapper.optimizer.param_groups

    def run(self, until):
        while self.steps < until:
            self.steps += 1
            for weight in self.model.parameters():
                weight.grad = (weight.detach() * 7 + self.steps).sin()
            self.wrapper.step()
            for schedule in self.schedules:
                schedule.step()
        return self

    def result(self):
        rates = {weight: group['lr'] for group in self.groups for weight in group['params']}
        states = self.wrapper.optimizer.state
        return {name: (weight.data, states[weight], rates[weight]) for name, weight in self.model.named_parameters()}


def assert_same(one, other):
    torch.testing.assert_close(one.result(), other.result(), atol=0, rtol=0)
    assert one.wrapper.get_lr()['base_lr'] == other.wrapper.get_lr()['base_lr']
    assert one.wrapper.get_lr()['lr'][0] == other.wrapper.get_lr()['lr'][0], 'what is logged'


CASES = {
    'by norms and tables': (OURS, DECAY, 2),
    'by the backbone': (OURS, BY_BACKBONE, 3),
    'by layers': (LAYERS, {**DECAY, 'layer_decay_rate': 0.8}, 24),
}


@pytest.mark.parametrize('case', CASES)
def test_merged_groups_train_as_a_group_for_each_parameter_to_the_last_bit(case, detector, monkeypatch):
    constructor, rules, number = CASES[case]

    def merge_nothing(self, *arguments, **options):
        super(MergesGroups, self).add_params(*arguments, **options)

    for kernels in ({}, {'foreach': True}):
        merged = Training(detector, constructor, rules, **kernels)
        with monkeypatch.context() as patch:
            patch.setattr(MergesGroups, 'add_params', merge_nothing)
            apart = Training(detector, constructor, rules, **kernels)
        assert (len(merged.groups), len(apart.groups)) == (number, len(list(detector.parameters())))
        for training in (merged, apart):
            training.run(10)
        assert not torch.equal(merged.model.neck.fpn_convs[0].conv.weight, detector.neck.fpn_convs[0].conv.weight)
        assert_same(merged, apart)


def wrapper_of(model, rules=DECAY, optimizer=None, **options):
    optimizer = {'type': 'AdamW', 'lr': 0.1, 'weight_decay': 0.05, **(optimizer or {})}
    return build_optim_wrapper(
        model, {'optimizer': optimizer, 'constructor': OURS, 'paramwise_cfg': rules, 'type': 'OptimWrapper', **options}
    )


def test_a_step_is_fused_where_torch_can_and_the_config_says_nothing_else(monkeypatch):
    monkeypatch.setattr(torch.optim.SGD, 'step', mock.Mock())
    model = nn.Linear(2, 2)
    for device, optimizer, options, expected in (
        ('cpu', {}, {}, HAS_FUSED or None),
        ('cpu', {'fused': False}, {}, False),
        ('cpu', {'foreach': False}, {}, None),
        ('cpu', {'differentiable': True}, {}, None),
        # Of one torch has none; the other's first step must not be left out.
        ('cpu', {'type': 'RMSprop'}, {}, None),
        ('cpu', {'type': 'SGD'}, {}, None),
        ('meta', {}, {}, None),
        # found_inf would be a sum over processes.
        ('cpu', {}, {'type': 'mmgcvit.AutoPrecisionOptimWrapper', 'use_fsdp': True}, None),
    ):
        for rules in (DECAY, None):
            optimizer_of = wrapper_of(copy.deepcopy(model).to(device), rules, optimizer, **options).optimizer
            found = [group.get('fused') for group in optimizer_of.param_groups]
            assert found == [expected] * len(found), (device, optimizer, options)
    assert not torch.optim.SGD.step.called, 'others than Adam are not tried'


@pytest.mark.skipif(not HAS_FUSED, reason='torch has neither for CPUs')
@pytest.mark.parametrize('clip_grad', [None, {'max_norm': 0.5}], ids=['as they are', 'clipped'])
def test_with_a_scaler_a_fused_step_is_the_plain_one_and_is_left_out_where_that_is(clip_grad, monkeypatch):
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', partial(torch.amp.GradScaler, device='cpu'))
    scaled = {'type': 'AmpOptimWrapper', 'clip_grad': clip_grad}
    (plain, left), (fused, right) = (
        (model, wrapper_of(model, optimizer=kernels, **copy.deepcopy(scaled)))
        for kernels in ({'fused': False}, {})
        for model in [nn.Linear(3, 3)]
    )
    fused.load_state_dict(plain.state_dict())
    moved = []
    for factor in (1.0, float('inf'), 3.0, float('nan'), 1.0):
        before = fused.weight.detach().clone()
        for model, wrapper in ((plain, left), (fused, right)):
            wrapper.update_params((model(torch.ones(3)) * factor).sum())
        moved.append(not torch.equal(fused.weight, before))
        torch.testing.assert_close(fused.state_dict(), plain.state_dict())
        assert right.loss_scaler.state_dict() == left.loss_scaler.state_dict()
    assert moved == [True, False, True, False, True]
    assert right.optimizer.state[fused.weight]['step'] == 3
