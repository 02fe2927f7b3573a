"""Test the index of position biases (query minus key), and resizing on loading another grid's biases or embeddings."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgcvit.models.layers import PositionEmbedding, RelativePositionBias

from ...conftest import DEVICES

TABLE = 'relative_position_bias_table'
sides = st.integers(1, 9)
on_every_device = pytest.mark.parametrize('device', DEVICES)


def test_loading_another_windows_table_resizes_it_bicubically(device):
    """Load from the CPU into a module on the device. The given state dict does not change."""
    small, large = RelativePositionBias((7, 7), 3), RelativePositionBias((12, 9), 3).to(device)
    state = small.state_dict()
    large.load_state_dict(state)
    assert state[TABLE].shape == (169, 3)
    expected = F.interpolate(state[TABLE].T.reshape(1, 3, 13, 13), size=(23, 17), mode='bicubic', align_corners=False)
    assert large.relative_position_bias_table.device.type == device
    torch.testing.assert_close(large.relative_position_bias_table.T.reshape(1, 3, 23, 17).cpu(), expected)


def test_tables_of_other_heads_or_of_oblong_windows_are_rejected():
    bias = RelativePositionBias((4, 4), 2)
    with pytest.raises(ValueError, match='35 rows; expected 49, or those of a square grid'):
        bias.load_state_dict({TABLE: torch.rand(35, 2)})
    with pytest.raises(RuntimeError, match='size mismatch'):
        bias.load_state_dict({TABLE: torch.rand(169, 3)})
    oblong = RelativePositionBias((3, 4), 2)
    oblong.load_state_dict(RelativePositionBias((3, 4), 2).state_dict())


def test_inference_caches_the_bias_on_a_gpu(device):
    position = RelativePositionBias((3, 4), 2).to(device).eval()
    with torch.no_grad():
        assert (position() is position()) == (device != 'cpu')
        assert position(torch.bfloat16) is not position()
        assert position(torch.bfloat16).dtype is torch.bfloat16


def change_in_place(position):
    with torch.no_grad():
        position.relative_position_bias_table.add_(1)


def change_by_loading(position):
    position.load_state_dict({TABLE: position.relative_position_bias_table.detach() + 1})


def change_by_assignment(position):
    position.relative_position_bias_table = torch.nn.Parameter(position.relative_position_bias_table.detach() + 1)


@pytest.mark.parametrize('change', [change_in_place, change_by_loading, change_by_assignment])
@pytest.mark.parametrize('inference', [torch.no_grad, torch.inference_mode])
def test_changing_the_bias_table_invalidates_the_cached_bias(change, inference, device):
    position = RelativePositionBias((3, 3), 2).to(device).eval()
    with inference():
        before = position().clone()
    change(position)
    with inference():
        torch.testing.assert_close(position(), before + 1)


def test_a_cached_bias_is_not_reused_with_gradients_or_another_dtype_or_table(device):
    position = RelativePositionBias((3, 4), 2).to(device).eval()
    with torch.no_grad():
        position()
    assert position().requires_grad
    assert position.double().cached is None
    replaced = {TABLE: torch.zeros(35, 2, dtype=torch.double, device=device)}
    with torch.no_grad():
        position()
        assert not torch.func.functional_call(position, replaced, ()).any()


def resized(embedding, source, target):
    """Resize each channel bicubically, with align_corners=False: (N, C) to (h, w, C)."""
    image = embedding.T.reshape(1, -1, *source)
    return F.interpolate(image, size=target, mode='bicubic', align_corners=False)[0].permute(1, 2, 0)


@settings(max_examples=25)
@given(grid=st.tuples(sides, sides), size=st.tuples(sides, sides))
@on_every_device
def test_the_position_embedding_is_resized_to_any_map(grid, size, device):
    position = PositionEmbedding(4, grid).to(device)
    x = torch.randn(2, *size, 4, device=device)
    expected = x + (position.pos_embed.unflatten(0, grid) if grid == size else resized(position.pos_embed, grid, size))
    torch.testing.assert_close(position(x), expected)


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
