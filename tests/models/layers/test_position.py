"""Test the index of position biases (query minus key), and resizing on loading another grid's biases or embeddings."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgcvit.models.layers import PositionEmbedding, RelativePositionBias
from mmgcvit.models.layers.position import ALIGNMENT

from ...conftest import DEVICES, HALF_DTYPES
from ..gcvit.plain import position_bias

TABLE = 'relative_position_bias_table'
sides = st.integers(1, 9)
on_every_device = pytest.mark.parametrize('device', DEVICES)


def test_tables_of_other_heads_or_of_oblong_windows_are_rejected():
    bias = RelativePositionBias((4, 4), 2)
    with pytest.raises(ValueError, match='35 rows; expected 49, or another square number'):
        bias.load_state_dict({TABLE: torch.rand(35, 2)})
    with pytest.raises(RuntimeError, match='size mismatch'):
        bias.load_state_dict({TABLE: torch.rand(169, 3)})
    oblong = RelativePositionBias((3, 4), 2)
    oblong.load_state_dict(RelativePositionBias((3, 4), 2).state_dict())


@pytest.mark.parametrize('window_size', [(1, 1), (3, 4), (4, 4)])
def test_a_bias_is_the_tables_row_of_each_offset(window_size, device):
    """Its rows start at multiples of the alignment that CUDA's kernel needs; its dtype is autocast's."""
    module = RelativePositionBias(window_size, 2).to(device)
    bias = module()
    torch.testing.assert_close(bias, position_bias(module), rtol=0, atol=0)
    assert bias.stride(1) % ALIGNMENT == 0
    assert list(module.state_dict()) == [TABLE]
    with torch.autocast(device, torch.bfloat16):
        assert module().dtype is torch.bfloat16


@pytest.mark.parametrize('dtype', HALF_DTYPES)
def test_gradients_of_a_table_accumulate_in_float32(dtype, device):
    """An offset (dy, dx) occurs (h - |dy|) * (w - |dx|) times, up to 576: bfloat16 would stop counting at 256."""
    module = RelativePositionBias((24, 24), 1).to(device)
    with torch.autocast(device, dtype):
        bias = module()
    bias.sum().backward()
    counts = 24 - torch.arange(-23, 24, device=device).abs()
    expected = torch.outer(counts, counts).float().flatten().unsqueeze(1)
    torch.testing.assert_close(module.relative_position_bias_table.grad, expected, atol=0, rtol=0)


def resized(embedding, source, target):
    """Resize each channel bicubically, with align_corners=False: (N, C) to (h, w, C)."""
    image = embedding.T.reshape(1, -1, *source)
    return F.interpolate(image, size=target, mode='bicubic', align_corners=False)[0].permute(1, 2, 0)


@settings(max_examples=25)
@given(side=sides, grid=st.tuples(sides, sides), copies=st.sampled_from([(), (3,)]))
@on_every_device
def test_a_square_grids_embedding_is_resized_when_loaded(side, grid, copies, device):
    stored = (side, side) if side**2 != grid[0] * grid[1] else grid
    source, target = (PositionEmbedding(4, shape, copies).to(device) for shape in (stored, grid))
    state = source.state_dict()
    target.load_state_dict(state)
    assert source.pos_embed.shape == state['pos_embed'].shape
    for found, given_ in zip(target.pos_embed.view(-1, *grid, 4), source.pos_embed.view(-1, *stored, 4), strict=True):
        expected = given_ if stored == grid else resized(given_.flatten(0, 1), stored, grid)
        torch.testing.assert_close(found, expected)
