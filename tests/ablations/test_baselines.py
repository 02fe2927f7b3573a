"""The other systems of the papers' tables build on the hosts' backbones, in the recipes of GC ViT."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
from torch import nn
from torch.overrides import TorchFunctionMode

from ..configs.models import parameters_of, read
from ..conftest import ROOT

CONFIGS = sorted(path.stem for path in (ROOT / 'configs' / 'baselines').glob('*.py'))
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
# Whole models in millions, as GC ViT's paper states them (table 2).
PUBLISHED = {
    'mask_rcnn_swin_t': 48,
    'mask_rcnn_convnext_t': 48,
    'cascade_swin_t': 86,
    'cascade_convnext_t': 86,
    'cascade_swin_s': 107,
    'cascade_convnext_s': 108,
    'cascade_swin_b': 145,
    'cascade_convnext_b': 146,
}


class RatesAreNumbers(TorchFunctionMode):
    """Hosts' backbones read their drop path rates off a tensor, which the meta device has no numbers for."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        device = {'device': 'cpu'} if func is torch.linspace else {}
        return func(*args, **{**(kwargs or {}), **device})


@pytest.fixture(scope='module', params=CONFIGS)
def built(request):
    """Each config and its model."""
    cfg = read(f'baselines/{request.param}')
    import_modules_from_strings(**cfg.custom_imports)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'), RatesAreNumbers():
        return request.param, cfg, MODELS.build(cfg.model)


@torch.no_grad()
def test_the_model_builds_and_what_follows_takes_the_backbones_maps(built):
    _, cfg, model = built
    model.eval()
    maps = model.backbone(torch.zeros(1, 3, 64, 64, device='meta'))
    if cfg.default_scope == 'mmseg':
        for head in (model.decode_head, model.auxiliary_head):
            assert head(maps).shape[1] == cfg.model.decode_head.num_classes
    else:
        assert len(model.neck(maps)) == cfg.model.neck.num_outs


def test_parameters_are_the_published_ones(built):
    name, _, model = built
    if name in PUBLISHED:
        assert round(parameters_of(model) / 1e6) == pytest.approx(PUBLISHED[name], abs=1)


def test_only_the_backbone_and_what_fits_to_it_differ_from_gcvit(built):
    name, cfg, _ = built
    recipe = read(name.replace('swin', 'gcvit').replace('convnext', 'gcvit'))
    for key in ('param_scheduler', 'train_cfg', 'train_dataloader', 'val_dataloader', 'val_evaluator'):
        assert cfg[key] == recipe[key]
    assert cfg.optim_wrapper.optimizer == recipe.optim_wrapper.optimizer
    assert cfg.optim_wrapper.type == recipe.optim_wrapper.type
    assert cfg.model.backbone.drop_path_rate == recipe.model.backbone.drop_path_rate


def test_norms_and_position_tables_have_no_weight_decay_and_nothing_else(built):
    _, cfg, model = built
    init_default_scope(cfg.default_scope)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    undecayed = {
        names[id(p)] for group in optimizer.param_groups if group['weight_decay'] == 0 for p in group['params']
    }
    expected = {name for name in names.values() if name.endswith('relative_position_bias_table')}
    for prefix, module in model.named_modules():
        if isinstance(module, NORMS):
            expected |= {f'{prefix}.{name}' for name, _ in module.named_parameters()}
    assert undecayed == expected
