"""Layers of a transformer block other than attention: LayerNorm, MLP, residual connection; weight initialisation.

Shapes: B batch, H x W feature map, C channels. Maps are channels-last (B, H, W, C).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .linear import Linear


class TransformerBlock(nn.Module):
    """Base class of the backbones' blocks, each of which is a unit of activation checkpointing."""


class LayerNorm(nn.LayerNorm):
    """``nn.LayerNorm`` computed in the dtype of its weights, which is float32 under autocast: (..., C) to the same.

    On GPUs autocast does the same. On CPUs torch would compute in half precision. It would also accumulate the weight
    gradients in half precision, where rounding loses most of their sum.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.to(self.weight.dtype), self.normalized_shape, self.weight, self.bias, self.eps)


class Mlp(nn.Module):
    """Two linear layers with an exact (erf) GELU between them: (..., C) to (..., C).

    Args:
        embed_dims: C.
        hidden_dims: Output channels of the first linear layer.
    """

    def __init__(self, embed_dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.fc1 = Linear(embed_dims, hidden_dims)
        self.act = nn.GELU()
        self.fc2 = Linear(hidden_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class LayerScale(nn.Module):
    """A learned factor for each channel, ``gamma`` (C,) (CaiT, arXiv 2103.17239), used by ResidualConnection."""

    def __init__(self, embed_dims: int, init_value: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((embed_dims,), init_value))


class ResidualConnection(nn.Module):
    """Add a branch to the residual stream: x + drop_path * gamma * branch.

    gamma is the layer scale. drop_path (stochastic depth, arXiv 1603.09382) is a random factor for each image in
    training: 0 with probability p, else 1 / (1 - p). Both are small, so they are multiplied first.

    Args:
        embed_dims: C.
        layer_scale: Initial value of the layer scale; None disables it.
        drop_path_rate: p.
    """

    def __init__(self, embed_dims: int, layer_scale: float | None = None, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        self.drop_path_rate = drop_path_rate
        self.layer_scale = nn.Identity() if layer_scale is None else LayerScale(embed_dims, layer_scale)
        # A tensor, since torch.compile would compile a block for each value of a number.
        keep_rate = torch.tensor(1 - drop_path_rate) if drop_path_rate else None
        self.register_buffer('keep_rate', keep_rate, persistent=False)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        if self.keep_rate is not None:  # of a model that was built on the meta device, see RelativePositionBias
            device = 'cpu' if self.keep_rate.is_meta else self.keep_rate.device
            self.keep_rate = torch.full_like(self.keep_rate, 1 - self.drop_path_rate, device=device)

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """Add a branch to the residual stream x, both (B, H, W, C)."""
        factors = self.layer_scale.gamma if isinstance(self.layer_scale, LayerScale) else None
        if self.training and self.keep_rate is not None:
            keep_rate = self.keep_rate.to(x.device)
            drop_path = torch.bernoulli(keep_rate.expand(len(x), 1, 1, 1)) / keep_rate
            factors = drop_path if factors is None else drop_path * factors
        if factors is None:
            return x + branch
        # Under autocast, addcmul would cast the branch to float32, and keep that copy for the backward pass.
        return torch.addcmul(x, branch, factors) if branch.dtype == x.dtype else x + branch * factors


def init_transformer_weights(module: nn.Module) -> None:
    """Initialise one module, for use with ``Module.apply``.

    Linear weights get a truncated normal distribution with standard deviation 0.02, their biases 0. Convolutions and
    LayerNorm keep torch's default, and position biases and embeddings initialise themselves.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
