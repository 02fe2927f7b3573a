"""Position embeddings: one vector a place, resized for other maps and on loading other grids."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgcvit.models.layers import PositionEmbedding

from ...conftest import DEVICES

sides = st.integers(1, 9)
on_every_device = pytest.mark.parametrize('device', DEVICES)


def resized(embedding, source, target):
    """The definition: each channel an image (bicubic, corners not aligned). (N, C) to (h, w, C)."""
    image = embedding.T.reshape(1, -1, *source)
    return F.interpolate(image, size=target, mode='bicubic', align_corners=False)[0].permute(1, 2, 0)


@settings(max_examples=25)
@given(grid=st.tuples(sides, sides), size=st.tuples(sides, sides))
@on_every_device
def test_maps_of_any_size_get_the_embedding_resized(grid, size, device):
    position = PositionEmbedding(4, grid).to(device)
    x = torch.randn(2, *size, 4, device=device)
    expected = x + (position.pos_embed.unflatten(0, grid) if grid == size else resized(position.pos_embed, grid, size))
    torch.testing.assert_close(position(x), expected)


def test_copies_have_an_embedding_each(device):
    position = PositionEmbedding(4, (3, 5), copies=(6,)).to(device)
    x = torch.randn(6, 2, 4, 7, 4, device=device)
    expected = torch.stack([resized(embedding, (3, 5), (4, 7)) for embedding in position.pos_embed])
    torch.testing.assert_close(position(x) - x, expected[:, None].expand(-1, 2, -1, -1, -1))


def test_one_embedding_serves_all_copies():
    position = PositionEmbedding(4, (3, 5))
    x = torch.randn(6, 2, 3, 5, 4)
    torch.testing.assert_close(position(x), x + position.pos_embed.unflatten(0, (3, 5)))


@settings(max_examples=25)
@given(stored=st.tuples(sides, sides), grid=st.tuples(sides, sides), copies=st.sampled_from([(), (3,)]))
@on_every_device
def test_another_grids_embedding_is_resized_when_loaded(stored, grid, copies, device):
    """Oblong grids included: (2, 6) and (3, 4) have as many places."""
    source, target = (PositionEmbedding(4, places, copies).to(device) for places in (stored, grid))
    state = source.state_dict()
    target.load_state_dict(state)
    assert source.pos_embed.shape == state['pos_embed'].shape
    for found, given_ in zip(target.pos_embed.view(-1, *grid, 4), source.pos_embed.view(-1, *stored, 4), strict=True):
        expected = given_ if stored == grid else resized(given_.flatten(0, 1), stored, grid)
        torch.testing.assert_close(found, expected)


def test_the_embedding_learns_through_the_resizing(device):
    position = PositionEmbedding(4, (3, 5)).to(device)
    position(torch.zeros(1, 6, 4, 4, device=device)).square().sum().backward()
    assert position.pos_embed.grad.abs().min() > 0


def test_an_embedding_of_no_square_grid_is_refused():
    with pytest.raises(ValueError, match='15 rows belongs to no square grid'):
        PositionEmbedding(4, (4, 4)).load_state_dict({'pos_embed': torch.zeros(15, 4)})


def test_an_embedding_that_is_not_its_grids_is_refused():
    state = {'pos_embed': torch.zeros(15, 4), 'grid_shape': torch.tensor([4, 4])}
    with pytest.raises(ValueError, match=r'15 rows; its grid \(4, 4\) needs 16'):
        PositionEmbedding(4, (4, 4)).load_state_dict(state)
