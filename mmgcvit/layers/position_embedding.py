"""A learned position embedding on a grid of patches, for maps of any size.

Legend: B batch, H x W map, C channels, h x w the grid that the embedding is learned on, N = h*w.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .position import resize_table, square_side

EMBEDDING_NAME = 'pos_embed'
# Kept beside the embedding of an oblong grid: its size does not tell it. Square grids need none.
GRID_NAME = 'grid_shape'


def stored_embedding_grid(state_dict: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    """The grid of an embedding in a state dict: the one kept beside it, or without one a square.

    Raises:
        ValueError: The embedding's rows are not those of its grid, or of any square.
    """
    num_rows = state_dict[name].shape[-2]
    kept = state_dict.get(name.removesuffix(EMBEDDING_NAME) + GRID_NAME)
    if kept is None:
        side = square_side(num_rows)
        if side is None:
            raise ValueError(f'a position embedding of {num_rows} rows belongs to no square grid')
        return side, side
    grid = (int(kept[0]), int(kept[1]))
    if grid[0] * grid[1] != num_rows:
        raise ValueError(f'{name} has {num_rows} rows; its grid {grid} needs {grid[0] * grid[1]}')
    return grid


class PositionEmbedding(nn.Module):
    """Add a learned vector to each place of a map; for other maps than the grid's it is resized (bicubic).

    An embedding on another grid is resized when a state dict is loaded, whoever loads it.

    Args:
        embed_dims: C.
        grid: (h, w).
        copies: () for maps (B, H, W, C), (T,) for T stacked maps (T, B, H, W, C) with an embedding each.
    """

    def __init__(self, embed_dims: int, grid: tuple[int, int], copies: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.grid = grid
        self.pos_embed = nn.Parameter(torch.empty(*copies, grid[0] * grid[1], embed_dims))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if grid[0] != grid[1]:
            self.register_buffer(GRID_NAME, torch.tensor(grid))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C), or (T, B, H, W, C), to the same."""
        size = (x.shape[-3], x.shape[-2])
        embedding = resize_table(self.pos_embed, self.grid, size).unflatten(-2, size)
        return x + embedding.unsqueeze(-4)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        key, grid_key = prefix + EMBEDDING_NAME, prefix + GRID_NAME
        if key in state_dict:
            source = stored_embedding_grid(state_dict, key)
            state_dict = {**state_dict, key: resize_table(state_dict[key], source, self.grid)}
            state_dict.pop(grid_key, None)
            if hasattr(self, GRID_NAME):
                state_dict[grid_key] = self.grid_shape
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
