"""Mixed precision by GPU; merged groups change only the speed."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.optim import (
    AmpOptimWrapper,
    DefaultOptimWrapperConstructor,
    OptimWrapper,
    build_optim_wrapper,
)
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmgcvit.engine import optim
from mmgcvit.engine.optim import GroupedParamsOptimWrapperConstructor, can_be_fused
from mmgcvit.errors import UserError

from ..configs.models import get_lrs_and_decays, read

GROUPED = 'mmgcvit.GroupedParamsOptimWrapperConstructor'
LAYER_DECAY = 'LearningRateDecayOptimWrapperConstructor'
OPTIMIZER = {'type': 'AdamW', 'lr': 1.0, 'weight_decay': 0.05}
BY_BACKBONE = {
    'custom_keys': {
        'backbone': {'lr_mult': 0.1},
        'backbone.norm': {'lr_mult': 0.1, 'decay_mult': 0.0},
    }
}


def test_merged_groups_have_the_settings_of_one_group_per_parameter(monkeypatch):
    """The learning rate of the first group is logged."""
    cfg = read('demo/mask_rcnn_gcvit_digits')
    init_default_scope(cfg.default_scope)
    detector = MODELS.build(cfg.model)
    wrapper = {'optimizer': OPTIMIZER, 'constructor': GROUPED, 'paramwise_cfg': BY_BACKBONE}
    groups = build_optim_wrapper(detector, wrapper).optimizer.param_groups
    merged = get_lrs_and_decays(detector, wrapper)
    monkeypatch.delattr(GroupedParamsOptimWrapperConstructor, 'add_params')
    separate = get_lrs_and_decays(detector, wrapper)
    assert len(groups) == 3
    assert (groups[0]['lr'], groups[0]['weight_decay']) == next(iter(separate.values()))
    assert merged == separate


@pytest.mark.parametrize('backbone', [{}, {'frozen_stages': 0}, {'with_cp': True, 'lora_rank': 2}])
@pytest.mark.parametrize(
    'name', ['gcvit_digits_cls', 'mask_rcnn_lsa_digits', 'upernet_gcvit_digits']
)
def test_layer_wise_lr_decay_equals_that_of_mmpretrain(name, backbone):
    """Also in DDP's wrapper, and with a parameter of the backbone that a head shares."""
    cfg = read(f'demo/{name}')
    rules = {'layer_decay_rate': 0.5, 'norm_decay_mult': 0.0}
    init_default_scope(cfg.default_scope)
    model = MODELS.build({**cfg.model, 'backbone': {**cfg.model.backbone, **backbone}})
    ours = {'optimizer': OPTIMIZER, 'paramwise_cfg': rules, 'constructor': GROUPED}
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
    assert list(get_lrs_and_decays(nn.DataParallel(model), ours).values()) == list(found.values())
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


def test_one_weight_on_the_cpu_forbids_the_fused_kernel():
    weights = [SimpleNamespace(is_cuda=is_cuda, dtype=torch.float32) for is_cuda in (True, False)]
    model = SimpleNamespace(parameters=lambda: weights)
    assert not can_be_fused({'type': 'AdamW'}, model)


@pytest.mark.parametrize(
    'given', [{}, {'fused': False}, {'foreach': True}, {'differentiable': True}]
)
def test_a_kernel_that_the_config_names_is_kept(given, monkeypatch):
    monkeypatch.setattr(optim, 'can_be_fused', lambda *_: True)
    monkeypatch.setattr(DefaultOptimWrapperConstructor, '__call__', lambda *_: None)
    optimizer = {'type': 'AdamW', 'lr': 1.0, **given}
    constructor = GroupedParamsOptimWrapperConstructor({'optimizer': optimizer})
    constructor(nn.Linear(1, 1))
    assert constructor.optimizer_cfg.get('fused') == (given.get('fused') if given else True)


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
    wrapper = OPTIM_WRAPPERS.build(
        {
            'type': 'mmgcvit.AutoPrecisionOptimWrapper',
            'loss_scale': 'dynamic',
            'dtype': requested,
            'optimizer': torch.optim.AdamW([nn.Parameter(torch.zeros(1))]),
        }
    )
    assert type(wrapper) is (AmpOptimWrapper if dtype else OptimWrapper)
    if dtype is not None:
        assert wrapper.cast_dtype == dtype
        assert wrapper.loss_scaler.is_enabled() == (dtype is torch.float16)
