"""What comes next has a place: another part is a subclass, another network a registration."""

import pytest
import torch
from torch import nn

from mmgcvit import LSA, GCViT
from mmgcvit.checkpoints.weights import known_layouts
from mmgcvit.hosts.registry import MODELS
from mmgcvit.models.gcvit.attention import LocalWindowAttention
from mmgcvit.models.gcvit.convs import Downsampler, Stem
from mmgcvit.models.gcvit.stage import Stage
from mmgcvit.models.layers import RelativePositionBias, in_windows, out_of_windows
from mmgcvit.models.lsa.stage import Block as LSABlock
from mmgcvit.models.lsa.stage import Stage as LSAStage

from .backbones import GCVIT, LSA_ARCH


class MaxPooled(Downsampler):
    """Section 2's drawing: max pooling in the strided convolution's place."""

    def __init__(self, embed_dims, out_dims):
        super().__init__(embed_dims, out_dims)
        self.reduction = nn.Sequential(nn.Conv2d(embed_dims, out_dims, 1), nn.MaxPool2d(3, stride=2, padding=1))


class MaxPooledStem(Stem):
    downsampler_type = MaxPooled


class Unbiased(nn.Module):
    """No position bias."""

    def __init__(self, window, num_heads):
        super().__init__()
        self.shape = num_heads, window[0] * window[1], window[0] * window[1]

    def forward(self, dtype=None):
        return torch.zeros(self.shape, dtype=dtype)


class RolledAttention(LocalWindowAttention):
    """Windows shifted by half of their size: attention sees the map, and can roll it."""

    position_type = Unbiased

    def forward(self, x, q_global):
        shift = tuple(side // 2 for side in self.window)
        rolled = super().forward(x.roll((-shift[0], -shift[1]), (1, 2)), q_global)
        return rolled.roll(shift, (1, 2))


class RolledStage(Stage):
    attention_types = (LocalWindowAttention, RolledAttention)


class Ablation(GCViT):
    stem_type = MaxPooledStem
    downsampler_type = MaxPooled
    stage_type = RolledStage


class FirstIsGlobal(LSABlock):
    """A global block around the unshifted map in the place of the shift block."""

    def forward(self, copies):
        return super().forward(copies[0])


class LSAAblationStage(LSAStage):
    first_block_type = FirstIsGlobal
    first_attention_type = LSAStage.attention_type


class LSAAblation(LSA):
    stage_type = LSAAblationStage


@pytest.mark.parametrize('build', [lambda: Ablation(GCVIT), lambda: LSAAblation(LSA_ARCH)], ids=['gcvit', 'lsa'])
def test_an_ablation_is_a_subclass_that_names_its_parts(build):
    model = build()
    maps = model(torch.rand(2, 3, 75, 101))
    assert len(maps) == 4
    sum(found.square().mean() for found in maps).backward()
    parts = {type(module).__name__ for module in model.modules()}
    assert parts & {'RolledAttention', 'FirstIsGlobal'}
    assert not parts & {'GlobalWindowAttention', 'ShiftAttention'}


def test_an_ablation_registers_without_other_changes():
    """It is found by its name, and its base's layouts are not found twice."""
    before = known_layouts()
    MODELS.register_module(module=Ablation)
    try:
        assert type(MODELS.build({'type': 'mmgcvit.Ablation', 'arch': GCVIT})) is Ablation
        assert known_layouts() == before
    finally:
        MODELS.module_dict.pop('Ablation')


@pytest.mark.parametrize('window', [(7, 7), (3, 5)])
def test_attention_weights_can_be_asked_for_beside_the_fast_path(window):
    """They weigh the values to what attention gives."""
    attn = LocalWindowAttention(16, 4, window)
    x = torch.randn(2, 9, 11, 16)
    weights = attn.attention_weights(x, None)
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    _, _, v = attn.project(in_windows(x, window), None)
    mixed = (weights @ v).transpose(2, 3).flatten(3)
    torch.testing.assert_close(out_of_windows(attn.proj(mixed), window, (9, 11)), attn(x, None), atol=1e-5, rtol=1e-5)
    assert isinstance(attn.position, RelativePositionBias)


@pytest.mark.parametrize('network', [GCViT, LSA])
def test_unknown_parameters_have_no_depth(network):
    with pytest.raises(ValueError, match='has no parameter'):
        network().get_layer_depth('backbone.nonsense', 'backbone.')


@pytest.mark.parametrize('network', [GCViT, LSA])
def test_a_batch_of_no_images_gives_maps_of_none(network):
    with torch.no_grad():
        assert {len(found) for found in network().eval()(torch.rand(0, 3, 64, 64))} == {0}
