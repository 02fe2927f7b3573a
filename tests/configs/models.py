"""Configs and their models, for tests."""

from copy import deepcopy
from functools import cache

import mmdet
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
from packaging.version import Version
from torch import nn
from torch.overrides import TorchFunctionMode

from ..conftest import ROOT

# What the metafiles say of each config.
CONTENTS = [
    yaml.safe_load((ROOT / path).read_text())
    for path in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
]
ENTRIES = {model['Name']: model for content in CONTENTS for model in content['Models']}
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
read_once = cache(Config.fromfile)


def read(name):
    """A config by its name under configs/; reading takes a third of a second, so that each is read once."""
    return deepcopy(read_once(ROOT / 'configs' / f'{name}.py'))


def head_of(name):
    """What a config says of itself."""
    return (ROOT / 'configs' / f'{name}.py').read_text().split('"""')[1]


class RatesAreNumbers(TorchFunctionMode):
    """Hosts' backbones read their drop path rates off a tensor, which the meta device has no numbers for."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        device = {'device': 'cpu'} if func is torch.linspace else {}
        return func(*args, **{**(kwargs or {}), **device})


def on_meta(cfg):
    """A config's model without memory or computation."""
    import_modules_from_strings(**cfg.custom_imports)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'), RatesAreNumbers():
        return MODELS.build(cfg.model)


def parameters_of(model):
    """A model's parameters as a current mmdet counts them."""
    number = sum(parameter.numel() for parameter in model.parameters())
    if type(model).__name__ == 'DINO' and Version(mmdet.__version__) < Version('3.4'):
        number += 131_072  # One layer of the decoder was half as wide.
    return number


def undecayed(cfg, model):
    """The names of the parameters that a config's optimizer has without weight decay."""
    init_default_scope(cfg.default_scope)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(p)] for group in optimizer.param_groups if group['weight_decay'] == 0 for p in group['params']}


def norms_and_tables(cfg, model):
    """The names of the parameters that the recipes leave without weight decay.

    Those of norms, and the tables of positions. In classification, as in timm's trainer, no vector has any: biases and
    layer scale besides.
    """
    names = [name for name, _ in model.named_parameters()]
    expected = {name for name in names if name.endswith(('relative_position_bias_table', 'pos_embed'))}
    for prefix, module in model.named_modules():
        if isinstance(module, NORMS):
            expected |= {f'{prefix}.{name}' for name, _ in module.named_parameters()}
    if cfg.default_scope == 'mmpretrain':
        expected |= {name for name, parameter in model.named_parameters() if parameter.ndim <= 1}
    return expected
