"""Layer-wise learning rates for detectors and segmentors."""

import pytest
from mmengine.optim import build_optim_wrapper

from ..configs.models import on_meta, read

RATE, DECAY = 1e-3, 0.9
CONSTRUCTORS = {
    'mask_rcnn_gcvit_t': 'mmgcvit.LayerDecayOptimWrapperConstructor',
    'upernet_gcvit_t': 'mmgcvit.LayerDecayOptimWrapperConstructor',
    'gcvit_t_in1k': 'mmgcvit.LayerDecayOptimWrapperConstructor',
    'gcvit_xxt_in1k': 'mmpretrain.LearningRateDecayOptimWrapperConstructor',
}


@pytest.mark.parametrize('name', CONSTRUCTORS)
def test_blocks_learn_the_slower_the_earlier_they_are(name):
    model = on_meta(read(name))
    settings = {
        'optimizer': {'type': 'AdamW', 'lr': RATE, 'weight_decay': 0.05},
        'constructor': CONSTRUCTORS[name],
        'paramwise_cfg': {'layer_decay_rate': DECAY, 'norm_decay_mult': 0.0},
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
        assert rates[f'backbone.{parameter}'] == pytest.approx(RATE * DECAY**blocks_behind)
    assert {rate for parameter, rate in rates.items() if not parameter.startswith('backbone.')} == {RATE}


def test_multipliers_that_would_have_no_effect_are_refused():
    cfg = read('dino_gcvit_t_12e')
    cfg.optim_wrapper.constructor = 'mmgcvit.LayerDecayOptimWrapperConstructor'
    with pytest.raises(ValueError, match='lr_mult of backbone'):
        build_optim_wrapper(on_meta(cfg), cfg.optim_wrapper)
