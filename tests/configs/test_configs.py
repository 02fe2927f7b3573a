"""Every config builds, what follows the backbone fits it, and the recipe is what it says."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
from torch import nn

from ..conftest import ROOT

CONFIGS = sorted(path for folder in ('configs', 'configs/demo') for path in (ROOT / folder).glob('*.py'))
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
# Parameters in millions of the whole model with the position tables of windows of 24.
PARAMETERS = {'mask_rcnn_gcvit_t': 48.29, 'cascade_gcvit_b': 148.40}


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def cfg(request):
    return Config.fromfile(request.param)


def build_model(cfg):
    import_modules_from_strings(**cfg.custom_imports)
    init_default_scope(cfg.default_scope)
    return MODELS.build(cfg.model)


def test_the_model_builds_and_what_follows_takes_the_backbones_maps(cfg):
    model = build_model(cfg).eval()
    with torch.no_grad():
        maps = model.backbone(torch.zeros(1, 3, 64, 64))
        following = model.neck(maps)
        if cfg.default_scope == 'mmpretrain':
            assert model.head(following).shape == (1, cfg.model.head.num_classes)
        else:
            assert [found.shape[1] for found in maps] == list(cfg.model.neck.in_channels)


def test_norms_and_position_tables_have_no_weight_decay_and_nothing_else(cfg):
    """In classification, as in timm's trainer, no vector has any: biases and layer scale besides."""
    model = build_model(cfg)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    undecayed = {
        names[id(p)] for group in optimizer.param_groups if group['weight_decay'] == 0 for p in group['params']
    }
    expected = {name for name in names.values() if name.endswith('relative_position_bias_table')}
    for prefix, module in model.named_modules():
        if isinstance(module, NORMS):
            expected |= {f'{prefix}.{name}' for name, _ in module.named_parameters()}
    if cfg.default_scope == 'mmpretrain':
        expected |= {name for name, parameter in model.named_parameters() if parameter.ndim <= 1}
    assert expected
    assert undecayed == expected


@pytest.mark.parametrize('name', PARAMETERS)
def test_parameters_of_the_whole_model(name):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    cfg.model.backbone.window_size = 24
    millions = sum(parameter.numel() for parameter in build_model(cfg).parameters()) / 1e6
    assert round(millions, 2) == PARAMETERS[name]


def test_a_config_says_what_to_expect_and_how_to_run_it():
    for path in CONFIGS:
        head = path.read_text().split('"""')[1]
        assert 'Run:' in head, path
        if path.parent.name == 'configs':
            assert 'Expected:' in head, path
            assert re.search(r'run in full', head), path


def flat(value, name=''):
    """A nested config as {dotted name: value}."""
    if isinstance(value, dict):
        return {key: leaf for part, inner in value.items() for key, leaf in flat(inner, f'{name}.{part}').items()}
    if isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        return {key: leaf for i, inner in enumerate(value) for key, leaf in flat(inner, f'{name}.{i}').items()}
    return {name[1:]: value}


DEMOS = {
    'demo/mask_rcnn_gcvit_digits.py': 'mask_rcnn_gcvit_t.py',
    'demo/gcvit_digits_cls.py': 'gcvit_xxt_in1k.py',
}
DATA = re.compile(
    r'(data_|metainfo|scale|slant|short_sides|tta_pipeline|\w+_pipeline|\w+_dataloader|\w+_evaluator|bgr_)'
)
SCHEDULE = re.compile(
    r'(lr|accumulative_counts|param_scheduler|max_epochs|train_cfg|optim_wrapper\.(optimizer\.lr|clip_grad|accumulative)|'
    r'custom_hooks|default_hooks|randomness|auto_scale_lr|model\.train_cfg\.augments)'
)
SIZES = re.compile(
    r'model\..*(embed_dims|depths|num_heads|mlp_ratio|arch|window_size|pretrain_img_size|drop_path_rate|channels|num_outs|'
    r'scales|ratios|strides|finest_scale|num_classes|num_convs|num|nms_pre|max_per_img)(\.\d+)?$'
)
START = re.compile(r'(released|model\.backbone\.init_cfg)')


@pytest.mark.parametrize('demo', DEMOS)
def test_a_demo_differs_from_its_full_config_only_in_data_sizes_schedule_and_start(demo):
    small, full = (flat(Config.fromfile(ROOT / 'configs' / name)._cfg_dict.to_dict()) for name in (demo, DEMOS[demo]))
    different = {key for key in small.keys() | full.keys() if small.get(key) != full.get(key)}
    allowed = (DATA, SCHEDULE, SIZES, START)
    assert not {key for key in different if not any(kind.match(key) for kind in allowed)}
