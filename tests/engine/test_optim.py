"""Groups of parameters are merged and steps fused, and nothing but speed changes; rates may follow the layers."""

import copy
from unittest import mock

import pytest
import torch
from mmengine.optim import LinearLR, MultiStepLR, build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from packaging.version import Version
from torch import nn

from mmgcvit.engine.optim import MergesGroups

from ..configs.models import on_meta, read

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
    ):
        for rules in (DECAY, None):
            optimizer_of = wrapper_of(copy.deepcopy(model).to(device), rules, optimizer, **options).optimizer
            found = [group.get('fused') for group in optimizer_of.param_groups]
            assert found == [expected] * len(found), (device, optimizer, options)
    assert not torch.optim.SGD.step.called, 'others than Adam are not tried'


CONSTRUCTOR_OF = {
    'mask_rcnn_gcvit_t': LAYERS,
    'upernet_gcvit_t': LAYERS,
    'gcvit_t_in1k': LAYERS,
    'gcvit_xxt_in1k': 'mmpretrain.LearningRateDecayOptimWrapperConstructor',
}


@pytest.mark.parametrize('name', CONSTRUCTOR_OF)
def test_blocks_learn_the_slower_the_earlier_they_are(name):
    model = on_meta(read(name))
    settings = {
        'optimizer': {'type': 'AdamW', 'lr': 1e-3, 'weight_decay': 0.05},
        'constructor': CONSTRUCTOR_OF[name],
        'paramwise_cfg': {'layer_decay_rate': 0.9, 'norm_decay_mult': 0.0},
    }
    groups = build_optim_wrapper(model, settings).optimizer.param_groups
    rate_of = {parameter: group['lr'] for group in groups for parameter in group['params']}
    rates = {name: rate_of[parameter] for name, parameter in model.named_parameters()}
    num_blocks = [len(stage.blocks) for stage in model.backbone.stages]
    for parameter, blocks_behind in (
        ('stem.proj.weight', sum(num_blocks) + 1),
        ('stages.0.blocks.1.mlp.fc1.weight', sum(num_blocks) - 1),
        ('stages.3.blocks.1.mlp.fc1.weight', num_blocks[3] - 1),
    ):
        assert rates[f'backbone.{parameter}'] == pytest.approx(1e-3 * 0.9**blocks_behind)
    assert {rate for parameter, rate in rates.items() if not parameter.startswith('backbone.')} == {1e-3}


def test_multipliers_that_would_have_no_effect_are_refused():
    cfg = read('dino_gcvit_t_12e')
    cfg.optim_wrapper.constructor = LAYERS
    with pytest.raises(ValueError, match='lr_mult of backbone'):
        build_optim_wrapper(on_meta(cfg), cfg.optim_wrapper)
