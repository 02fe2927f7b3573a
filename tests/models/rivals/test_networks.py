"""What each rival has in its part's place."""

import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.experiments.complexity import count_macs
from mmgcvit.hosts.registry import MODELS
from mmgcvit.models import rivals as ablations
from mmgcvit.models.gcvit.attention import GlobalWindowAttention, LocalWindowAttention, WindowAttention
from mmgcvit.models.layers import RelativePositionBias, in_windows
from mmgcvit.models.rivals.attention import (
    GlobalKeyValueAttention,
    GlobalValueAttention,
    MaskedGlobalAttention,
    MaskedLocalAttention,
)
from mmgcvit.models.rivals.downsamplers import ConvPoolDownsampler, MaxPoolDownsampler
from mmgcvit.models.rivals.swin import PatchMerging, ShiftedWindowAttention

from ..contract.backbones import GCVIT, LSA_ARCH

GCVITS = [name for name in ablations.__all__ if not name.startswith('LSA')]
LSAS = [name for name in ablations.__all__ if name.startswith('LSA')]


def small(name):
    network = getattr(ablations, name)
    return network(dict(LSA_ARCH, shared_position=True)) if name in LSAS else network(GCVIT, window_size=(7, 5, 4, 3))


@pytest.mark.parametrize('name', ablations.__all__)
def test_every_rival_is_registered_and_trains_in_all_of_its_parts(name):
    """On images that divide into nothing; in each of the maps."""
    assert MODELS.get(f'mmgcvit.{name}') is getattr(ablations, name)
    model = small(name)
    images = torch.rand(2, 3, 75, 101)
    maps = model(images)
    assert [found.shape[2:] for found in maps] == [(19, 26), (10, 13), (5, 7), (3, 4)]
    sum(found.square().mean() for found in maps).backward()
    assert {name for name, parameter in model.named_parameters() if parameter.grad is None} == set()


@pytest.mark.parametrize('name', ablations.__all__)
def test_an_image_does_not_depend_on_what_else_is_in_the_batch(name):
    model = small(name).eval()
    images = torch.rand(3, 3, 75, 101)
    with torch.no_grad():
        for together, alone in zip(model(images), model(images[1:2]), strict=True):
            torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('name', ablations.__all__)
def test_a_rival_starts_from_weights_that_it_saved(name, tmp_path):
    """Its own classifier's, for dense prediction."""
    trained = small(name)
    torch.save(
        {'state_dict': {f'backbone.{key}': tensor for key, tensor in trained.state_dict().items()}}, tmp_path / 'w.pth'
    )
    model = small(name)
    model.init_cfg = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'w.pth')}
    model.init_weights()
    for (name, parameter), before in zip(model.named_parameters(), trained.parameters(), strict=True):
        assert torch.equal(parameter, before), name


PARTS = {
    'SwinWithoutShifting': {LocalWindowAttention, PatchMerging},
    'SwinWithGCViTStem': {LocalWindowAttention, PatchMerging},
    'GCViTLocal': {LocalWindowAttention},
    'SwinWithGlobalQuery': {LocalWindowAttention, GlobalWindowAttention, PatchMerging},
    'GCViTConvPool': {LocalWindowAttention, GlobalWindowAttention, ConvPoolDownsampler},
    'GCViTMaxPool': {LocalWindowAttention, GlobalWindowAttention, MaxPoolDownsampler},
    'GCViTPatchMerging': {LocalWindowAttention, GlobalWindowAttention, PatchMerging},
    'GCViTGlobalKeyValue': {LocalWindowAttention, GlobalKeyValueAttention},
    'GCViTGlobalValue': {LocalWindowAttention, GlobalValueAttention},
    'GCViTShifted': {LocalWindowAttention, ShiftedWindowAttention},
    'GCViTMaskedPadding': {MaskedLocalAttention, MaskedGlobalAttention},
}
KINDS = set.union(*PARTS.values())


@pytest.mark.parametrize('name', PARTS)
def test_a_rival_is_made_of_its_parts(name):
    assert {type(module) for module in small(name).modules()} & KINDS == PARTS[name]


def test_without_position_bias_there_is_no_table():
    assert not any(isinstance(module, RelativePositionBias) for module in small('GCViTWithoutPosition').modules())
    tables = [name for name, _ in small('GCViTWithoutPosition').named_parameters() if 'position' in name]
    assert tables == []


@torch.no_grad()
def test_masked_padding_changes_nothing_where_nothing_is_padded():
    model, masked = GCViT(GCVIT, window_size=2).eval(), ablations.GCViTMaskedPadding(GCVIT, window_size=2).eval()
    masked.load_state_dict(model.state_dict())
    images = torch.rand(2, 3, 128, 64)
    for plain, found in zip(model(images), masked(images), strict=True):
        torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-5)
    padded = torch.rand(2, 3, 100, 64)
    assert not torch.allclose(model(padded)[0], masked(padded)[0], atol=1e-3)


@pytest.mark.parametrize('before', ['nothing', 'count', 'training', 'inference'])
@pytest.mark.parametrize('size', [(512, 256), (75, 101)])
def test_a_mask_adds_no_multiply_adds_whatever_the_model_did_before(size, before):
    """Padded tokens are computed with or without one; a kept position bias, an earlier count, gradients matter not."""
    counts = []
    for network in (GCViT, ablations.GCViTMaskedPadding):
        model = network(GCVIT, window_size=(7, 5, 4, 3)).train(before == 'training')
        if before in ('training', 'inference'):
            with torch.set_grad_enabled(before == 'training'):
                model(torch.rand(1, 3, 64, 96))
        model = model.eval().to('meta')
        images = torch.empty(1, 3, *size, device='meta')
        if before == 'count':
            count_macs(lambda model=model: model(torch.empty(1, 3, 96, 64, device='meta')))
        counts.append(count_macs(lambda model=model, images=images: model(images)))
    assert counts[0] == counts[1] > 0


@torch.no_grad()
@pytest.mark.parametrize('attention', [MaskedLocalAttention, MaskedGlobalAttention])
def test_padded_keys_get_no_attention(attention):
    """The others share it in the proportions that they have without a mask."""
    attn = attention(8, 2, (4, 4))
    x = torch.randn(1, 3, 2, 8)
    q_global = torch.randn(1, 2, 16, 4)
    allowed = attn.allowed((3, 2), x.device)
    assert allowed.view(4, 4).tolist() == [[True, True, False, False]] * 3 + [[False] * 4]
    assert attn.attention_weights(x, q_global)[..., ~allowed[0, 0]].max() < 1e-20
    weights = WindowAttention.attention_weights(attn, x, q_global)[0, 0]  # without the mask
    kept = weights[..., allowed[0, 0]]
    kept = kept / kept.sum(-1, keepdim=True)
    _, _, v = attn.project(in_windows(x, (4, 4)), q_global)
    mixed = (kept @ v[0, 0][:, allowed[0, 0]]).transpose(0, 1).flatten(1)
    expected = attn.proj(mixed).view(1, 4, 4, 8)[:, :3, :2]
    torch.testing.assert_close(attn(x, q_global), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_shifted_windows_reach_over_the_border_of_two_windows_and_not_around_the_map():
    attn = ShiftedWindowAttention(8, 2, (4, 4))
    x = torch.randn(1, 8, 8, 8)
    changed = x.clone()
    changed[:, 3, 3] += 1  # the last token of the first window
    seen = (attn(x, None) - attn(changed, None)).abs().amax(-1)[0] > 1e-6
    assert seen.nonzero().amin(0).tolist() == [2, 2]
    assert seen.nonzero().amax(0).tolist() == [5, 5]
    assert seen.sum() == 16
    changed = x.clone()
    changed[:, 0, 0] += 1
    seen = (attn(x, None) - attn(changed, None)).abs().amax(-1)[0] > 1e-6
    assert seen.nonzero().amax(0).tolist() == [1, 1]
