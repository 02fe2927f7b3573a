"""Mixed precision by GPU; merged groups and fused steps change only the speed."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.optim import AmpOptimWrapper, LinearLR, MultiStepLR, OptimWrapper, build_optim_wrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmgcvit.engine.optim import GroupedParamsOptimWrapperConstructor, can_be_fused
from mmgcvit.errors import UserError

from ..configs.models import get_lrs_and_decays, read

GROUPED = 'mmgcvit.GroupedParamsOptimWrapperConstructor'
LAYER_DECAY = 'LearningRateDecayOptimWrapperConstructor'
DECAY = {'norm_decay_mult': 0.0, 'custom_keys': {'relative_position': {'decay_mult': 0.0}}}
BY_BACKBONE = {
    'custom_keys': {
        'backbone': {'lr_mult': 0.1},
        'backbone.norm': {'lr_mult': 0.1, 'decay_mult': 0.0},
    }
}


@pytest.fixture(scope='module')
def detector():
    """Return a detector with real heads."""
    cfg = read('demo/mask_rcnn_gcvit_digits')
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


class Training:
    """Train a model's copy with the constructor and LR schedulers, on gradients computed from the
    weights.
    """

    def __init__(self, model, rules, **settings):
        self.model = copy.deepcopy(model)
        optimizer = {'type': 'AdamW', 'lr': 1e-3, 'weight_decay': 0.05, **settings}
        settings = {
            'optimizer': optimizer,
            'constructor': GROUPED,
            'paramwise_cfg': copy.deepcopy(rules),
        }
        self.wrapper = build_optim_wrapper(self.model, settings)
        self.schedules = [
            LinearLR(self.wrapper, start_factor=0.1, end=4),
            MultiStepLR(self.wrapper, milestones=[6]),
        ]
        self.groups = self.wrapper.optimizer.param_groups

    def run(self):
        for step in range(10):
            for weight in self.model.parameters():
                weight.grad = (weight.detach() * 7 + step).sin()
            self.wrapper.step()
            for schedule in self.schedules:
                schedule.step()
        lrs = {weight: group['lr'] for group in self.groups for weight in group['params']}
        states = self.wrapper.optimizer.state
        return {
            name: (weight.data, states[weight], lrs[weight])
            for name, weight in self.model.named_parameters()
        }


@pytest.mark.parametrize(
    ('rules', 'num_groups'), [(DECAY, 2), (BY_BACKBONE, 3)], ids=['decay', 'backbone']
)
def test_merged_groups_train_bit_for_bit_like_one_group_per_parameter(
    rules, num_groups, detector, monkeypatch
):
    def merge_nothing(self, *arguments, **options):
        super(GroupedParamsOptimWrapperConstructor, self).add_params(*arguments, **options)

    for kernels in ({}, {'foreach': True}):
        merged = Training(detector, rules, **kernels)
        with monkeypatch.context() as patch:
            patch.setattr(GroupedParamsOptimWrapperConstructor, 'add_params', merge_nothing)
            separate = Training(detector, rules, **kernels)
        assert len(merged.groups) == num_groups
        assert len(separate.groups) == len(list(detector.parameters()))
        torch.testing.assert_close(merged.run(), separate.run(), atol=0, rtol=0)
        name = 'neck.fpn_convs.0.conv.weight'
        assert not torch.equal(merged.model.get_parameter(name), detector.get_parameter(name))
        for name in ('base_lr', 'lr'):  # as logged
            assert merged.wrapper.get_lr()[name][0] == separate.wrapper.get_lr()[name][0]


@pytest.mark.parametrize('backbone', [{}, {'frozen_stages': 0}], ids=['plain', 'frozen'])
@pytest.mark.parametrize(
    'name', ['gcvit_digits_cls', 'mask_rcnn_lsa_digits', 'upernet_gcvit_digits']
)
def test_layer_wise_lr_decay_equals_that_of_mmpretrain(name, backbone):
    """Also in DDP's wrapper, and with a parameter of the backbone that a head shares."""
    cfg, rules = read(f'demo/{name}'), {'layer_decay_rate': 0.5, 'norm_decay_mult': 0.0}
    init_default_scope(cfg.default_scope)
    model = MODELS.build({**cfg.model, 'backbone': {**cfg.model.backbone, **backbone}})
    optimizer = {'type': 'AdamW', 'lr': 1.0, 'weight_decay': 0.05}
    ours = {'optimizer': optimizer, 'paramwise_cfg': rules, 'constructor': GROUPED}
    theirs = {**ours, 'constructor': f'mmpretrain.{LAYER_DECAY}'}
    found = get_lrs_and_decays(model, ours)
    num_blocks = sum(len(stage.blocks) for stage in model.backbone.stages)
    assert min(found.values())[0] == 0.5 ** (num_blocks + (not backbone))
    # mmpretrain asks the model, and only its own classifiers have the method.
    model.get_layer_depth = lambda name: model.backbone.get_layer_depth(name, 'backbone.')
    assert found == get_lrs_and_decays(model, theirs)
    del model.get_layer_depth
    model.shared = nn.Module()
    model.shared.weight = next(
        x for x in model.backbone.parameters() if x.requires_grad and x.ndim > 1
    )
    wrapped = get_lrs_and_decays(nn.DataParallel(model), ours)
    assert list(wrapped.values()) == list(found.values())
    with pytest.raises(UserError, match='the backbone has no get_layer_depth'):
        get_lrs_and_decays(nn.Linear(2, 2), ours)


@pytest.mark.parametrize(
    ('optimizer', 'dtype', 'is_cuda', 'expected'),
    [
        ('AdamW', torch.float32, True, True),
        (torch.optim.Adam, torch.float32, True, True),
        ('SGD', torch.float32, True, False),
        ('AdamW', torch.float64, True, False),
        ('AdamW', torch.float32, False, False),
    ],
)
def test_only_adam_and_adamw_on_cuda_can_be_fused(optimizer, dtype, is_cuda, expected):
    """SGD's first fused step must not be skipped, as GradScaler does."""
    weight = SimpleNamespace(is_cuda=is_cuda, dtype=dtype)
    model = SimpleNamespace(parameters=lambda: [weight])
    assert can_be_fused({'type': optimizer}, model) == expected


@pytest.mark.parametrize(
    ('capability', 'requested', 'dtype'),
    [
        (None, None, None),
        ((8, 0), None, torch.bfloat16),
        ((7, 5), None, torch.float16),
        ((8, 0), 'float16', torch.float16),
    ],
)
def test_mixed_precision_uses_bfloat16_or_float16_by_gpu_and_float32_on_a_cpu(
    capability, requested, dtype, monkeypatch
):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda: capability)
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    settings = {'type': 'mmgcvit.AutoPrecisionOptimWrapper', 'loss_scale': 'dynamic'}
    settings['dtype'] = requested
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))])
    wrapper = OPTIM_WRAPPERS.build({**settings, 'optimizer': optimizer})
    if dtype is None:
        assert type(wrapper) is OptimWrapper
    else:
        assert type(wrapper) is AmpOptimWrapper
        assert wrapper.cast_dtype == dtype
        assert wrapper.loss_scaler.is_enabled() == (dtype is torch.float16)
