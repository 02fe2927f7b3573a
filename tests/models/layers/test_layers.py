"""Test the layers other than attention: windows, resizing, position, norms, layer scale and drop
path.

Modules: `mmgcvit/models/layers`.
"""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmgcvit.models.layers.blocks import DropPath, LayerNorm
from mmgcvit.models.layers.position import ALIGNMENT, PositionEmbedding, RelativePositionBias
from mmgcvit.models.layers.resizing import resize
from mmgcvit.models.layers.windows import pad_to_windows, window_partition, window_reverse

from ...conftest import HALF_DTYPES

sizes = st.tuples(st.integers(1, 60), st.integers(1, 60))
windows = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(size=sizes, window=windows, batch=st.integers(1, 3))
def test_window_reverse_undoes_partition_and_padding_exactly(size, window, batch, device):
    x = torch.rand(batch, *size, 3, device=device)
    padded = pad_to_windows(x, window)
    assert (padded is x) == (padded.shape == x.shape)
    cut = window_partition(x, window)
    num_windows = -(-size[0] // window[0]) * -(-size[1] // window[1])
    assert cut.shape == (batch, num_windows, window[0] * window[1], 3)
    assert torch.equal(window_reverse(cut, window, size), x)


def torchs(x, size):
    return F.interpolate(x, size=size, mode='bicubic', align_corners=False)


@settings(max_examples=50)
@given(source=sizes, target=sizes)
def test_resizing_equals_torchs_at_any_size(source, target, device):
    """Values near 1 agree within 1e-5, and so do gradients."""
    x = torch.rand(2, 3, *source, device=device, requires_grad=True)
    weights = torch.rand(2, 3, *target, device=device)
    found = resize(x, target)
    expected = torchs(x, target)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad((out * weights).sum(), x)[0] for out in (found, expected)]
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_float32_rounded(dtype, device):
    x = torch.rand(2, 3, 13, 17, device=device).to(dtype)
    assert torch.equal(resize(x, (7, 7)), resize(x.float(), (7, 7)).to(dtype))
    with torch.autocast(device, torch.bfloat16):
        assert resize(x.float(), (7, 7)).dtype is torch.float32


@pytest.mark.parametrize('dtype', HALF_DTYPES)
def test_a_bias_is_aligned_and_in_half_precision_but_its_gradients_accumulate_in_float32(
    dtype, device
):
    """Its rows start at multiples of the alignment that CUDA's kernel needs.

    An offset (dy, dx) occurs (h - |dy|) * (w - |dx|) times, up to 529: bfloat16 would stop counting
    at 256. That a bias is the table's row of each offset: contract/test_plain.py.
    """
    module = RelativePositionBias((23, 23), 1).to(device)
    with torch.autocast(device, dtype):
        bias = module()
    assert bias.dtype is dtype
    assert bias.stride(1) % ALIGNMENT == module().stride(1) % ALIGNMENT == 0
    bias.sum().backward()
    counts = 23 - torch.arange(-22, 23, device=device).abs()
    expected = torch.outer(counts, counts).float().flatten().unsqueeze(1)
    torch.testing.assert_close(module.relative_position_bias_table.grad, expected, atol=0, rtol=0)


@settings(max_examples=25)
@given(side=st.integers(1, 9), grid=windows, num_copies=st.sampled_from([None, 3]))
def test_a_square_grids_embedding_is_resized_when_loaded(side, grid, num_copies, device):
    stored = (side, side) if side**2 != grid[0] * grid[1] else grid
    source = PositionEmbedding(4, stored, num_copies).to(device)
    target = PositionEmbedding(4, grid, num_copies).to(device)
    target.load_state_dict(source.state_dict())
    images = source.pos_embed.view(-1, *stored, 4).movedim(-1, 1)
    expected = torchs(images, grid).movedim(1, -1)
    torch.testing.assert_close(target.pos_embed.view_as(expected), expected)


@given(stored=windows, window=windows)
def test_a_bias_of_any_window_is_resized_as_an_image(stored, window, device):
    """Windows (4, 6) and (6, 4) have as many offsets, in another order."""
    source = RelativePositionBias(stored, 2).to(device)
    target = RelativePositionBias(window, 2).to(device)
    table = source.relative_position_bias_table.detach()
    found = target.resize_table(table, source.grid)
    images = table.t().unflatten(1, source.grid).unsqueeze(0)
    expected = torchs(images, target.grid).flatten(2)[0].t()
    torch.testing.assert_close(found, expected)


def test_a_bias_whose_window_cannot_be_known_is_refused_by_its_key():
    target = nn.Sequential(RelativePositionBias((7, 7), 2))
    before = target[0].relative_position_bias_table.clone()
    weights = nn.Sequential(RelativePositionBias((4, 6), 2)).state_dict()
    with pytest.raises(
        RuntimeError, match=r'0\.relative_position_bias_table has 77 rows.*no square'
    ):
        target.load_state_dict(weights)
    assert torch.equal(target[0].relative_position_bias_table, before)
    same = nn.Sequential(RelativePositionBias((4, 6), 2))
    same.load_state_dict(weights)
    assert torch.equal(
        same[0].relative_position_bias_table, weights['0.relative_position_bias_table']
    )


@pytest.mark.parametrize('rate', [0.0, 0.25, 0.75])
def test_drop_path_drops_images_at_its_rate_in_training_only(rate, device):
    """Kept images are scaled, so that the mean stays."""
    drop_path = DropPath(rate).to(device)
    branch = torch.ones(4096, 1, 4, device=device)
    found = drop_path(branch)
    is_dropped = (found == 0).flatten(1).all(1)
    assert torch.equal(found[~is_dropped], branch[~is_dropped] / (1 - rate))
    assert abs(is_dropped.float().mean().item() - rate) <= 0.04  # six standard deviations
    assert torch.equal(drop_path.eval()(branch), branch)


@pytest.mark.parametrize('dtype', HALF_DTYPES)
def test_gradients_of_half_precision_maps_accumulate_in_float32(dtype, device):
    """torch's LayerNorm loses most of thousands of small gradients on a CPU; ours is within 1
    percent.
    """
    x = torch.randn(2, 96, 96, 16, device=device).to(dtype)
    gradients = []
    for norm, maps in ((LayerNorm(16).to(device), x), (nn.LayerNorm(16).to(device), x.float())):
        with torch.autocast(device, dtype=dtype, enabled=maps is x):
            out = norm(maps)
        assert out.dtype is torch.float32
        out.abs().mean().backward()
        gradients.append(norm.weight.grad)
    torch.testing.assert_close(*gradients, atol=0, rtol=1e-2)
