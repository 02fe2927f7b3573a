"""Read configs and build their models for tests."""

import re
from copy import deepcopy
from functools import cache, partial
from unittest import mock

import torch
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
from torch import nn

from ..conftest import ROOT

INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())
CONTENTS = [yaml.safe_load((ROOT / path).read_text()) for path in INDEX['Import']]
# The entry of each config in the metafiles.
ENTRIES = {}
for content in CONTENTS:
    for model in content['Models']:
        ENTRIES[model['Config'].removeprefix('configs/').removesuffix('.py')] = model
# The configs of the model zoo, the demos and the templates.
FOLDERS = ('', 'ablations/', 'baselines/', 'demo/', 'other_heads/')
EVERY = sorted(
    f'{folder}{path.stem}'
    for folder in FOLDERS
    for path in (ROOT / 'configs' / folder).glob('*.py')
)
# In make test, one config of each network and head. Demos and templates are trained.
FEW = ('mask_rcnn_gcvit_t', 'dino_gcvit_t_12e', 'upernet_lsa_s', 'gcvit_xxt_in1k', 'lsa_b_cifar10')
FEW += ('other_heads/mask2former_gcvit_t',)
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
read_once = cache(Config.fromfile)


def get_image_size(name):
    """Return the height and width of the images for which a metafile counts."""
    return tuple(map(int, ENTRIES[name]['Metadata']['FLOPs Input Size'].split('x')))


def read(name):
    """Read a config by its name under configs/.

    It is parsed once, since that takes a third of a second.
    """
    return deepcopy(read_once(ROOT / 'configs' / f'{name}.py'))


def read_docstring(name):
    """Return the docstring of a config."""
    return (ROOT / 'configs' / f'{name}.py').read_text().split('"""')[1]


def build_on_meta(cfg):
    """Build the model of a config on the meta device.

    linspace stays on the CPU: OpenMMLab backbones read drop path rates from it, and meta tensors
    have no values.
    """
    import_modules_from_strings(**cfg.custom_imports)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'), mock.patch('torch.linspace', partial(torch.linspace, device='cpu')):
        return MODELS.build(cfg.model)


@cache
def get_model(name):
    """Return the model of a config in eval mode on the meta device, built once."""
    return build_on_meta(read(name)).eval()


def has_decay_of_recipe(cfg, model):
    """Return whether only norms and position biases (classifiers: vectors) have no weight decay.

    test_recipes.py compares other packages' recipes.
    """
    if 'norm_decay_mult' not in cfg.optim_wrapper.paramwise_cfg:
        return True
    init_default_scope(cfg.default_scope)
    settings = get_lrs_and_decays(model, cfg.optim_wrapper)
    without_decay = {name for name, (_, decay) in settings.items() if not decay}
    return without_decay == find_names_without_decay(cfg, model)


def find_names_without_decay(cfg, model):
    """Return the names of the parameters without weight decay in the recipes."""
    parameters = dict(model.named_parameters())
    if cfg.default_scope == 'mmpretrain':
        exempt = tuple(cfg.optim_wrapper.paramwise_cfg.get('custom_keys', ()))  # the demo's
        return {
            name
            for name, parameter in parameters.items()
            if parameter.ndim <= 1 or name.endswith(exempt)
        }
    exempt = ('relative_position_bias_table', 'pos_embed')
    # Mask2Former's embeddings
    exempt += ('query_embed.weight', 'query_feat.weight', 'level_embed.weight')
    if 'bias_decay_mult' in cfg.optim_wrapper.paramwise_cfg:  # RTMDet's recipe
        exempt += ('.bias',)
    expected = {name for name in parameters if name.endswith(exempt)}
    for prefix, module in model.named_modules():
        if isinstance(module, NORMS):
            expected.update(f'{prefix}.{name}' for name, _ in module.named_parameters())
    return expected


def get_lrs_and_decays(model, optim_wrapper, rate_alone='(?!)'):
    """Return (lr, weight decay) by parameter name; only the lr where the name matches a pattern."""
    names = {weight: name for name, weight in model.named_parameters()}
    settings = {'type': 'OptimWrapper'}
    for key in optim_wrapper.keys() & {'constructor', 'optimizer', 'paramwise_cfg'}:
        settings[key] = optim_wrapper[key]
    found = {}
    for group in build_optim_wrapper(model, settings).optimizer.param_groups:
        for weight in group['params']:
            name = names[weight]
            decay = None if re.search(rate_alone, name) else group['weight_decay']
            found[name] = (group['lr'], decay)
    return found
