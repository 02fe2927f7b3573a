"""Train every ablation variant, and compare those that are a known network with mmdet's
implementation.

Modules: `mmgcvit/models/ablations`.
"""

import re

import pytest
import torch
from mmdet.models.backbones import SwinTransformer

from mmgcvit.models.ablations.gcvit_variants import SwinWithoutShifting
from mmgcvit.registry import MODELS

from ..contract.backbones import GCVIT, LSA_ARCH, backpropagate, list_blocks
from .variants import ALL


@pytest.mark.slow
@pytest.mark.parametrize('name', ALL)
def test_every_variant_trains_all_parameters_and_loads_its_own_checkpoint(name, tmp_path):
    """Each parameter gets a gradient, at a size that no window divides; an image's maps do not
    depend on its batch.
    """
    options = {'arch': GCVIT, 'window_size': (7, 5, 4, 3)}
    if name.startswith('LSA'):
        options = {'arch': dict(LSA_ARCH, shared_position=True)}
    trained = MODELS.get(f'mmgcvit.{name}')(**options)
    images = torch.rand(3, 3, 75, 101)
    maps = trained(images)
    assert [found.shape[2:] for found in maps] == [(19, 26), (10, 13), (5, 7), (3, 4)]
    backpropagate(maps)
    assert [name for name, x in trained.named_parameters() if x.grad is None] == []
    with torch.no_grad():
        for together, alone in zip(trained.eval()(images), trained(images[1:2]), strict=True):
            torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-5)
    torch.save(trained.state_dict(), tmp_path / 'w.pth')
    model = type(trained).from_pretrained(tmp_path / 'w.pth', **options)
    torch.testing.assert_close(model.state_dict(), trained.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize('name', [name for name in ALL if name.startswith('LSA')])
def test_other_first_blocks_of_lsa_need_a_variant_with_one_embedding_of_positions(name):
    """The published variants of these classes have it."""
    network = MODELS.get(f'mmgcvit.{name}')
    assert all(arch.shared_position for arch in network.archs.values())
    with pytest.raises(ValueError, match=r'^shared_position is False; expected True: '):
        network(LSA_ARCH)
    with pytest.raises(ValueError, match=r'^shifts is None; expected some: '):
        network({**LSA_ARCH, 'shared_position': True, 'shifts': None})


MMDET_NAMES = {
    r'^stem\.proj': 'patch_embed.projection',
    r'^stem\.': 'patch_embed.',
    r'^downsamplers\.(\d)': r'stages.\1.downsample',
    r'attn\.(position\.)?': 'attn.w_msa.',
    r'mlp\.fc1': 'ffn.layers.0.0',
    r'mlp\.fc2': 'ffn.layers.1',
}


def convert_to_mmdet(model):
    """Rename weights as in mmdet, with patch merging in the order of unfold (channels, rows,
    columns).
    """
    state_dict = {}
    for name, tensor in model.state_dict().items():
        for pattern, theirs in MMDET_NAMES.items():
            name = re.sub(pattern, theirs, name)
        if '.downsample.' in name:
            tensor = tensor.unflatten(-1, (2, 2, -1)).transpose(-1, -3).flatten(-3)
        state_dict[name] = tensor
    return state_dict


@torch.no_grad()
def test_swin_without_shifting_computes_what_mmdets_swin_does_at_any_size():
    model = SwinWithoutShifting(GCVIT, window_size=3, drop_path_rate=0.0).eval()
    for name, parameter in model.named_parameters():
        if 'bias' in name or 'norm' in name:  # initially 0 or 1, or too small to see
            torch.nn.init.normal_(
                parameter, mean=float('norm' in name and 'weight' in name), std=0.3
            )
    theirs = SwinTransformer(window_size=3, drop_path_rate=0.0, **GCVIT)
    theirs.eval()
    missing, unexpected = theirs.load_state_dict(convert_to_mmdet(model), strict=False)
    assert not unexpected
    assert all(name.endswith('relative_position_index') for name in missing)
    for block in list_blocks(theirs):
        block.attn.shift_size = 0
    for size in [(104, 104), (123, 181)]:
        images = torch.rand(2, 3, *size)
        for ours, host in zip(model(images), theirs(images), strict=True):
            torch.testing.assert_close(ours, host, atol=1e-5, rtol=1e-5)
