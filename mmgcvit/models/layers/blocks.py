"""Layers of a transformer block other than attention: LayerNorm, MLP, residual connection; weight initialisation.

Shapes: B batch, H x W feature map, C channels. Maps are channels-last (B, H, W, C).
"""

from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .autocast import add_scaled
from .kernels import select_backends
from .linear import Linear
from .tracing import get_constant, is_tracing


class TransformerBlock(nn.Module):
    """Base class of the backbones' blocks, each of which is a unit of activation checkpointing."""


def checkpoint_block(block: nn.Module, *inputs: Tensor) -> Any:
    """Call a block, with activation checkpointing if gradients are enabled."""
    if not torch.is_grad_enabled():
        return block(*inputs)
    # The recomputation runs in the backward pass, outside of the context in which the backbone selects backends.
    contexts = {} if is_tracing() else {'context_fn': lambda: (nullcontext(), select_backends(inputs[0].device.type))}
    return checkpoint(block, *inputs, use_reentrant=False, **contexts)


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

    drop_path has a random factor for each image, gamma is the layer scale. These two are multiplied first, so that one
    kernel computes x + branch * factors and the branch is read once.

    Args:
        embed_dims: C.
        layer_scale: Initial value of the layer scale; None disables it.
        drop_path_rate: Probability of dropping the branch of an image in training.
    """

    def __init__(self, embed_dims: int, layer_scale: float | None, drop_path_rate: float) -> None:
        super().__init__()
        self.layer_scale = nn.Identity() if layer_scale is None else LayerScale(embed_dims, layer_scale)
        self.drop_path_rate = drop_path_rate

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """Add a branch to the residual stream x, both (B, H, W, C)."""
        factors = self.compute_factors(x)
        return x + branch if factors is None else add_scaled(x, branch, factors)

    def compute_factors(self, x: Tensor) -> Tensor | None:
        """Return the factors of the branch, (C,), (B, 1, 1, 1) or (B, 1, 1, C); None if they would all be 1."""
        gamma = self.layer_scale.gamma if isinstance(self.layer_scale, LayerScale) else None
        drop_path = draw_drop_path(x, self.drop_path_rate) if self.training and self.drop_path_rate else None
        if gamma is None or drop_path is None:
            return drop_path if gamma is None else gamma
        return drop_path * gamma


def draw_drop_path(x: Tensor, drop_path_rate: float) -> Tensor:
    """Draw a factor for each image of x, (B, 1, 1, 1): 0 with probability p = ``drop_path_rate``, else 1 / (1 - p).

    Applying dropout to a cached tensor of ones takes one kernel. Drawing Bernoulli numbers and dividing takes two.
    """
    return F.dropout(get_constant(make_ones, len(x), x.dtype, like=x), drop_path_rate)


def make_ones(batch_size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.ones(batch_size, 1, 1, 1, dtype=dtype, device=device)


def init_transformer_weights(module: nn.Module) -> None:
    """Initialise one module, for use with ``Module.apply``.

    Linear weights get a truncated normal distribution with standard deviation 0.02, LayerNorm weights 1, both biases 0.
    Convolutions keep torch's default, and position biases and embeddings initialise themselves.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
