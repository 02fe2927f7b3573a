"""Layer-wise learning rate decay: each block learns at a share of the next one's rate, in every host's models."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

from ..conftest import ROOT

RATE, DECAY = 1e-3, 0.9
CONSTRUCTORS = {
    'mask_rcnn_gcvit_t': 'mmgcvit.LayerDecayOptimWrapperConstructor',
    'upernet_gcvit_t': 'mmgcvit.LayerDecayOptimWrapperConstructor',
    'gcvit_xxt_in1k': 'mmpretrain.LearningRateDecayOptimWrapperConstructor',
}


@pytest.mark.parametrize('name', CONSTRUCTORS)
def test_blocks_learn_the_slower_the_earlier_they_are(name):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(
        model,
        {
            'optimizer': {'type': 'AdamW', 'lr': RATE, 'weight_decay': 0.05},
            'constructor': CONSTRUCTORS[name],
            'paramwise_cfg': {'layer_decay_rate': DECAY, 'norm_decay_mult': 0.0},
        },
    ).optimizer
    rates = {group['param_name']: group['lr'] for group in optimizer.param_groups}
    assert len(rates) == len(list(model.parameters()))
    num_blocks = sum(len(stage.blocks) for stage in model.backbone.stages)
    assert rates['backbone.stem.proj.weight'] == pytest.approx(RATE * DECAY ** (num_blocks + 1))
    assert rates['backbone.stages.0.blocks.1.mlp.fc1.weight'] == pytest.approx(RATE * DECAY ** (num_blocks - 1))
    assert rates['backbone.stages.3.blocks.1.mlp.fc1.weight'] == pytest.approx(
        RATE * DECAY ** (len(model.backbone.stages[3].blocks) - 1)
    )
    outside = {rate for parameter, rate in rates.items() if not parameter.startswith('backbone.')}
    assert outside == {RATE}


def test_multipliers_that_would_have_no_effect_are_refused():
    cfg = Config.fromfile(ROOT / 'configs' / 'dino_gcvit_t_12e.py')
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    cfg.optim_wrapper.constructor = 'mmgcvit.LayerDecayOptimWrapperConstructor'
    with pytest.raises(ValueError, match='lr_mult of backbone'):
        build_optim_wrapper(model, cfg.optim_wrapper)
