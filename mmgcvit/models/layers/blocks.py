"""Layers of a transformer block other than attention: LayerNorm, MLP, residual connection; weight initialisation.

Shapes: B batch, H x W feature map, C channels. Maps are channels-last (B, H, W, C).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .linear import Linear
from .tracing import get_constant


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

    drop_path has a random factor for each image, gamma is the layer scale; both are small, so they come first.

    Args:
        embed_dims: C.
        layer_scale: Initial value of the layer scale; None disables it.
    """

    def __init__(self, embed_dims: int, layer_scale: float | None) -> None:
        super().__init__()
        self.layer_scale = nn.Identity() if layer_scale is None else LayerScale(embed_dims, layer_scale)

    def forward(self, x: Tensor, branch: Tensor, drop_path: Tensor | None = None) -> Tensor:
        """Add a branch to the residual stream x, both (B, H, W, C). ``drop_path`` is (B, 1, 1, 1), None for ones."""
        gamma = self.layer_scale.gamma if isinstance(self.layer_scale, LayerScale) else None
        if gamma is None and drop_path is None:
            return x + branch
        factors = gamma if drop_path is None else drop_path if gamma is None else drop_path * gamma
        # Under autocast, addcmul would cast the branch to float32, and keep that copy for the backward pass.
        return torch.addcmul(x, branch, factors) if branch.dtype == x.dtype else x + branch * factors


def draw_drop_path(rates: Sequence[float], x: Tensor, training: bool) -> list[Sequence[Tensor | None]]:
    """Draw drop path (stochastic depth, arXiv 1603.09382) for all blocks of a stage at once, in two kernels.

    Args:
        rates: The drop path rate p of each block.
        x: The map of the stage (..., B, H, W, C).
        training: Whether the stage is in training mode. If not, nothing is dropped.

    Returns:
        For each block, the factors of its two branches, (B, 1, 1, 1) each: 0 with probability p, else 1 / (1 - p). None
        instead of factors that are all 1.
    """
    if not training or not any(rates):
        return [(None, None)] * len(rates)
    keep = get_constant(make_keep_rates, tuple(rates), x.dtype, like=x)
    factors = torch.bernoulli(keep.expand(-1, 2, x.shape[-4], 1, 1, 1)) / keep
    return [block.unbind() if rate else (None, None) for rate, block in zip(rates, factors.unbind(), strict=True)]


def make_keep_rates(rates: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return 1 - p of each rate p, (blocks, 1, 1, 1, 1, 1)."""
    # Compiled code would copy a torch.tensor of numbers from the CPU at each step.
    return torch.stack([torch.full((1, 1, 1, 1, 1), 1 - rate, dtype=dtype, device=device) for rate in rates])


def init_transformer_weights(module: nn.Module) -> None:
    """Initialise one module, for use with ``Module.apply``.

    Linear weights get a truncated normal distribution with standard deviation 0.02, their biases 0. Convolutions and
    LayerNorm keep torch's default, and position biases and embeddings initialise themselves.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
