"""Configs and their models, for tests."""

from copy import deepcopy
from functools import cache

import mmdet
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
from packaging.version import Version

from ..conftest import ROOT

read_once = cache(Config.fromfile)


def read(name):
    """A config by its name under configs/; reading takes a third of a second, so that each is read once."""
    return deepcopy(read_once(ROOT / 'configs' / f'{name}.py'))


def head_of(name):
    """What a config says of itself."""
    return (ROOT / 'configs' / f'{name}.py').read_text().split('"""')[1]


def on_meta(cfg):
    """A config's model without memory or computation."""
    import_modules_from_strings(**cfg.custom_imports)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        return MODELS.build(cfg.model)


def parameters_of(model):
    """A model's parameters as a current mmdet counts them."""
    number = sum(parameter.numel() for parameter in model.parameters())
    if type(model).__name__ == 'DINO' and Version(mmdet.__version__) < Version('3.4'):
        number += 131_072  # One layer of the decoder was half as wide.
    return number
