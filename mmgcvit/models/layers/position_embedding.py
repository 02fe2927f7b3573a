"""Learned position embeddings of a map.

Legend: B batch, H x W feature map, C channels, h x w grid of the embedding, T stacked maps.
"""

from torch import Tensor

from .grid_values import Grid, GridValues
from .resizing import resize
from .tracing import is_tracing


class PositionEmbedding(GridValues):
    """Add a learned vector to each place of a map; for other maps than the grid's it is resized (bicubic).

    Args:
        embed_dims: C.
        grid: (h, w).
        copies: () for maps (B, H, W, C), (T,) for T stacked maps (T, B, H, W, C) with an embedding each.
    """

    table_name = 'pos_embed'
    shape_name = 'grid_shape'

    def __init__(self, embed_dims: int, grid: Grid, copies: tuple[int, ...] = ()) -> None:
        super().__init__((*copies, grid[0] * grid[1], embed_dims), grid)
        self.grid = tuple(grid)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C), or (T, B, H, W, C), to the same."""
        size = (x.shape[-3], x.shape[-2])
        embedding = self.pos_embed.unflatten(-2, self.grid)
        if is_tracing() or size != self.grid:
            images = embedding.transpose(-1, -2).transpose(-2, -3)  # (..., C, h, w)
            embedding = resize(images, size).transpose(-3, -2).transpose(-2, -1)
        return x + embedding.unsqueeze(-4)
