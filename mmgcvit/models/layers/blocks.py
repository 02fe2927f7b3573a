"""Parts of a transformer block besides attention: norm, MLP, residual connection, LoRA, initial weights.

Shapes: B batch, H x W feature map, C channels. Maps are channels-last (B, H, W, C).
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .cpu import Linear, chunk_tokens, product


class TransformerBlock(nn.Module):
    """Base of the backbones' blocks, the unit of activation checkpointing."""


def checkpoint_block(block: nn.Module, *inputs: Tensor) -> Any:
    """``block(*inputs)`` with activation checkpointing."""
    if not torch.is_grad_enabled():
        return block(*inputs)
    return checkpoint(block, *inputs, use_reentrant=False)


class LayerNorm(nn.LayerNorm):
    """``nn.LayerNorm`` in its weights' dtype, under autocast in float32: (..., C) to the same.

    As autocast does on GPUs. On CPUs torch would compute in the input's half precision and sum the weights' gradients
    in it, which loses most of them.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.to(self.weight.dtype), self.normalized_shape, self.weight, self.bias, self.eps)


class Mlp(nn.Module):
    """Linear, exact (erf) GELU, linear, on the last dimension: (..., C) to (..., C).

    Args:
        embed_dims: C.
        hidden_dims: Channels between the two linear layers.
    """

    def __init__(self, embed_dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.fc1 = Linear(embed_dims, hidden_dims)
        self.act = nn.GELU()
        self.fc2 = Linear(hidden_dims, embed_dims)

    @chunk_tokens
    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class LayerScale(nn.Module):
    """Multiply every channel by a learned factor (CaiT): (..., C) to (..., C)."""

    def __init__(self, embed_dims: int, init_value: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((embed_dims,), init_value))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class ResidualConnection(nn.Module):
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
        drops = self.training and not isinstance(self.drop_path, nn.Identity)
        if isinstance(self.layer_scale, nn.Identity) and not drops:
            return x + branch
        # Both factors are multiplied first, as (B or 1, 1, 1, C), so that the maps are read and written only once.
        factors = self.drop_path(self.layer_scale(x.new_ones(len(x) if drops else 1, 1, 1, 1)))
        return torch.addcmul(x, branch, factors)


class LoRALinear(Linear):
    """A linear layer with the weight W + B A, of which B A is trained (LoRA, arXiv 2106.09685): (..., C) to (..., C').

    Not by mmpretrain's ``LoRAModel`` or peft, which learn on these backbones too: both put layers into others,
    mmpretrain's the backbone as well, so that weights have names that neither checkpoints nor layer decay know.

    W and the bias are those of a layer that it replaces, under the same names. A (``lora_down``, rank x C) begins as in
    the paper's code, B (``lora_up``, C' x rank) as zero. The paper's factor alpha / rank is 1, as in mmpretrain's
    config. The sum is made at each call: a plain layer with it as its weight gives the same to the bit.
    """

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=layer.bias is not None, device='meta')
        self.weight, self.bias = layer.weight, layer.bias
        self.lora_down = nn.Parameter(layer.weight.new_empty(rank, layer.in_features))
        self.lora_up = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        return product(x, self.weight + self.lora_up @ self.lora_down, self.bias)


def init_transformer_weights(module: nn.Module) -> None:
    """Initialise one module, for use with ``Module.apply``.

    Linear layers: truncated normal with standard deviation 0.02, biases 0. LayerNorm: 1 and 0. Convolutions keep the
    framework's default; position tables initialise themselves.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
