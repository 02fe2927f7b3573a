"""What a transformer block is made of besides attention: the MLP, and the residual branch around either.

Legend: B batch, H x W feature map, C channels. Maps are channels-last (B, H, W, C).
"""

import torch
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from .linear import Linear
from .parts import tokens_in_parts


class Mlp(nn.Module):
    """Linear, exact (erf) GELU, linear, on the last dimension: (..., C) to (..., C).

    Args:
        embed_dims: C.
        hidden_dims: Channels between the two linear layers.
    """

    def __init__(self, embed_dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.hidden_dims = hidden_dims
        self.fc1 = Linear(embed_dims, hidden_dims)
        self.act = nn.GELU()
        self.fc2 = Linear(hidden_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        return tokens_in_parts((self.fc1, self.act, self.fc2), x, self.hidden_dims)


class LayerScale(nn.Module):
    """Multiply every channel by a learned factor (CaiT): (..., C) to (..., C).

    Args:
        embed_dims: C.
        init_value: The factors' initial value.
    """

    def __init__(self, embed_dims: int, init_value: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((embed_dims,), init_value))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class ResidualBranch(nn.Module):
    """How a branch's result joins the main path: x + drop_path(layer_scale(branch)).

    Args:
        embed_dims: C.
        layer_scale: Initial value of the layer scale, or None for none.
        drop_path_rate: Probability with which the branch of one image is dropped in training.
    """

    def __init__(self, embed_dims: int, layer_scale: float | None, drop_path_rate: float) -> None:
        super().__init__()
        self.layer_scale = nn.Identity() if layer_scale is None else LayerScale(embed_dims, layer_scale)
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate else nn.Identity()

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """Add a branch to the main path, both (B, H, W, C)."""
        return x + self.drop_path(self.layer_scale(branch))
