"""The other systems of the papers' tables build on the hosts' backbones, in the recipes of GC ViT."""

from functools import cache

import pytest
import timm
import torch

from ...configs.models import norms_and_tables, on_meta, parameters_of, read, undecayed
from ...conftest import ROOT

CONFIGS = sorted(path.stem for path in (ROOT / 'configs' / 'baselines').glob('*.py'))
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
# The published classifiers, as timm builds them.
CLASSIFIERS = {
    'swin_t': 'swin_tiny_patch4_window7_224',
    'swin_s': 'swin_small_patch4_window7_224',
    'swin_b': 'swin_base_patch4_window7_224',
    'swin_l': 'swin_large_patch4_window12_384',
    'convnext_t': 'convnext_tiny',
    'convnext_s': 'convnext_small',
    'convnext_b': 'convnext_base',
}
# The weights behind a backbone whose four maps have c channels, as far as their number depends on c.
BEHIND = {
    'mask_rcnn': lambda c: 256 * sum(c),  # FPN: a 1x1 convolution for each map
    'cascade': lambda c: 256 * sum(c),
    # UPerNet: three 1x1 convolutions, four and one of 3x3 of the pyramid pooling; FCN: one of 3x3.
    'upernet': lambda c: 512 * sum(c[:3]) + 4 * 512 * c[3] + 9 * 512 * c[3] + 9 * 256 * c[2],
    'dino': lambda c: 256 * sum(c[1:]) + 9 * 256 * c[3],  # 1x1 for three maps, and 3x3 for one level more
}


@cache
def model_of(name):
    return on_meta(read(name))


def split_name(name):
    """For example ``'mask_rcnn_swin_t'``: the head, the backbone and GC ViT's config beside it."""
    head = next(head for head in BEHIND if name.startswith(head))
    return head, name.removeprefix(f'{head}_'), name.replace('swin', 'gcvit').replace('convnext', 'gcvit')


def channels_of(model):
    """C of all four stages; what follows takes all of them, or the last three."""
    with torch.no_grad():
        maps = model.eval().backbone(torch.zeros(1, 3, 64, 64, device='meta'))
    last = maps[-1].shape[1]
    return [last // 8, last // 4, last // 2, last]


@pytest.fixture(scope='module', params=CONFIGS)
def built(request):
    """Each config and its model."""
    name = f'baselines/{request.param}'
    return request.param, read(name), model_of(name)


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


def test_parameters_of_the_backbone_to_the_digit(built):
    """The published classifier's without its head; its norm is that of the last map, and each other map has one."""
    name, _, model = built
    with torch.device('meta'):
        classifier = timm.create_model(CLASSIFIERS[split_name(name)[1]])
    head = classifier.num_features * 1000 + 1000
    norms = sum(2 * c for c in channels_of(model)[:3][3 - (len(model.backbone.out_indices) - 1) :])
    assert parameters_of(model.backbone) == parameters_of(classifier) - head + norms


def test_parameters_behind_the_backbone_to_the_digit(built):
    """GC ViT's, but for the channels of the maps."""
    name, _, model = built
    head, _, beside = split_name(name)
    gcvit = model_of(beside)

    def behind(model):
        return parameters_of(model) - parameters_of(model.backbone) - BEHIND[head](channels_of(model))

    assert behind(model) == behind(gcvit)


def test_only_the_backbone_and_what_fits_to_it_differ_from_gcvit(built):
    name, cfg, _ = built
    recipe = read(split_name(name)[2])
    for key in ('param_scheduler', 'train_cfg', 'train_dataloader', 'val_dataloader', 'val_evaluator'):
        assert cfg[key] == recipe[key]
    assert cfg.optim_wrapper.optimizer == recipe.optim_wrapper.optimizer
    assert cfg.optim_wrapper.type == recipe.optim_wrapper.type
    assert cfg.model.backbone.drop_path_rate == recipe.model.backbone.drop_path_rate


def test_norms_and_position_tables_have_no_weight_decay_and_nothing_else(built):
    _, cfg, model = built
    assert undecayed(cfg, model) == norms_and_tables(cfg, model)
