"""Rivals that are a known network compute what others' implementations of it compute, with the same weights."""

import re

import pytest
import torch
from mmdet.models.backbones import SwinTransformer
from timm.models.swin_transformer import SwinTransformer as TimmSwin

from mmgcvit.models.rivals import SwinWithoutShifting
from mmgcvit.models.rivals.swin import ShiftedStage

ARCH = {'embed_dims': 16, 'depths': (2, 2, 3, 2), 'num_heads': (1, 2, 4, 8), 'mlp_ratio': 2}
SIZES = {'embed_dim': 16, 'depths': (2, 2, 3, 2), 'num_heads': (1, 2, 4, 8), 'mlp_ratio': 2}
TIMM_NAMES = {
    r'^stem\.': 'patch_embed.',
    r'^stages\.(\d)': r'layers.\1',
    r'^downsamplers\.0': 'layers.1.downsample',
    r'^downsamplers\.1': 'layers.2.downsample',
    r'^downsamplers\.2': 'layers.3.downsample',
    r'position\.relative': 'relative',
    r'^norm3': 'norm',
}
MMDET_NAMES = {
    r'^stem\.proj': 'patch_embed.projection',
    r'^stem\.': 'patch_embed.',
    r'^downsamplers\.(\d)': r'stages.\1.downsample',
    r'attn\.(position\.)?': 'attn.w_msa.',
    r'mlp\.fc1': 'ffn.layers.0.0',
    r'mlp\.fc2': 'ffn.layers.1',
}


class Swin(SwinWithoutShifting):
    """Swin Transformer, of parts that the rivals have between them."""

    stage_type = ShiftedStage


@pytest.fixture(params=[SwinWithoutShifting, Swin])
def network(request):
    return request.param


def small(network, window):
    model = network(ARCH, window_size=window, drop_path_rate=0.0).eval()
    for name, parameter in model.named_parameters():
        if 'bias' in name or 'norm' in name:  # initially 0 or 1, or too small to see
            torch.nn.init.normal_(parameter, mean=float('norm' in name and 'weight' in name), std=0.3)
    return model


def renamed(model, names):
    """A model's weights under others' names."""
    state_dict = {}
    for name, tensor in model.state_dict().items():
        for pattern, theirs in names.items():
            name = re.sub(pattern, theirs, name)
        state_dict[name] = tensor
    return state_dict


def of_unfolded(weight):
    """Patch merging's weights for the order of torch's unfold: channels first, then rows, then columns."""
    return weight.unflatten(1, (2, 2, -1)).permute(0, 3, 2, 1).flatten(1)


def unshift(blocks):
    for block in blocks:
        block.shift_size, block.attn_mask = (0, 0), None


@torch.no_grad()
def test_it_computes_what_timms_computes(network):
    model = small(network, 4)
    theirs = TimmSwin(img_size=128, window_size=4, num_classes=0, global_pool='', **SIZES).eval()
    missing, unexpected = theirs.load_state_dict(
        {name: tensor for name, tensor in renamed(model, TIMM_NAMES).items() if not re.match(r'norm\d', name)},
        strict=False,
    )
    assert not unexpected
    assert all('relative_position_index' in name or 'attn_mask' in name for name in missing)
    if network is SwinWithoutShifting:
        for layer in theirs.layers:
            unshift(layer.blocks)
    images = torch.rand(2, 3, 128, 128)
    torch.testing.assert_close(model(images)[3], theirs(images).permute(0, 3, 1, 2), atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('size', [(104, 104), (123, 181)])
def test_it_computes_what_the_hosts_computes_on_images_of_any_size(network, size):
    model = small(network, 3)
    theirs = SwinTransformer(
        embed_dims=16, window_size=3, drop_path_rate=0.0, **{key: SIZES[key] for key in ('depths', 'num_heads')},
        mlp_ratio=2,
    )  # fmt: skip
    theirs.eval()
    weights = renamed(model, MMDET_NAMES)
    for name in weights:
        if name.endswith('downsample.reduction.weight'):
            weights[name] = of_unfolded(weights[name])
        elif 'downsample.norm' in name:
            weights[name] = of_unfolded(weights[name][None])[0]
    missing, unexpected = theirs.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all(name.endswith('relative_position_index') for name in missing)
    if network is SwinWithoutShifting:
        for stage in theirs.stages:
            for block in stage.blocks:
                block.attn.shift_size = 0
    images = torch.rand(2, 3, *size)
    for ours, host in zip(model(images), theirs(images), strict=True):
        torch.testing.assert_close(ours, host, atol=1e-5, rtol=1e-5)
