"""Configs and their models, for tests."""

from copy import deepcopy
from functools import cache

import torch
import yaml
from mmdet.models.dense_heads import Mask2FormerHead
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
from torch import nn
from torch.overrides import TorchFunctionMode

from ..conftest import ROOT

CONTENTS = [
    yaml.safe_load((ROOT / path).read_text())
    for path in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
]
# The entry of each config in the metafiles.
ENTRIES = {model['Config'][len('configs/') : -len('.py')]: model for content in CONTENTS for model in content['Models']}
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
read_once = cache(Config.fromfile)


def read(name):
    """A config by its name under configs/; reading takes a third of a second, so that each is read once."""
    return deepcopy(read_once(ROOT / 'configs' / f'{name}.py'))


def head_of(name):
    """The docstring of a config."""
    return (ROOT / 'configs' / f'{name}.py').read_text().split('"""')[1]


class RatesAreNumbers(TorchFunctionMode):
    """Let backbones of OpenMMLab packages read their drop path rates off a tensor: the meta device has no numbers."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        device = {'device': 'cpu'} if func is torch.linspace else {}
        return func(*args, **{**(kwargs or {}), **device})


def on_meta(cfg):
    """Build a config's model without memory or computation."""
    import_modules_from_strings(**cfg.custom_imports)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'), RatesAreNumbers():
        return MODELS.build(cfg.model)


@cache
def model_of(name):
    """The model of a config by its name, for inference, built once: nothing of it changes on the meta device."""
    return on_meta(read(name)).eval()


def parameters_of(model):
    """The number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def wrong_groups(cfg, model):
    """What is wrong with the optimizer's groups; those of another package's recipe are compared in test_recipes.py."""
    if 'norm_decay_mult' not in cfg.optim_wrapper.paramwise_cfg:
        return
    init_default_scope(cfg.default_scope)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    # With and without decay, and twice that where the backbone has another rate.
    if len(groups) > 4:
        yield f'{len(groups)} groups'
    names = {weight: name for name, weight in model.named_parameters() if weight.requires_grad}
    decays = {names[weight]: group['weight_decay'] for group in groups for weight in group['params']}
    if {name for name in names.values() if not decays[name]} != without_decay(cfg, model):
        yield 'weight decay: norms and position tables have none; in classification vectors, and nothing else'


def without_decay(cfg, model):
    """The names of the parameters that the recipes leave without weight decay."""
    names = [name for name, _ in model.named_parameters()]
    if cfg.default_scope == 'mmpretrain':
        exempt = tuple(cfg.optim_wrapper.paramwise_cfg.get('custom_keys', ()))  # the demo's
        vectors = {name for name, parameter in model.named_parameters() if parameter.ndim <= 1}
        return vectors.union(name for name in names if name.endswith(exempt))
    expected = {name for name in names if name.endswith(('relative_position_bias_table', 'pos_embed'))}
    for prefix, module in model.named_modules():
        if isinstance(module, NORMS):
            expected |= {f'{prefix}.{name}' for name, _ in module.named_parameters()}
        if isinstance(module, Mask2FormerHead):
            expected |= {f'{prefix}.{name}.weight' for name in ('query_embed', 'query_feat', 'level_embed')}
    if 'bias_decay_mult' in cfg.optim_wrapper.paramwise_cfg:  # RTMDet's recipe
        expected |= {name for name in names if name.endswith('.bias')}
    return expected
