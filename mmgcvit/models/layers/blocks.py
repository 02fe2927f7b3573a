"""Layers of a transformer block other than attention: LayerNorm, MLP, layer scale, drop path.

Shapes: B batch, H x W feature map, C = ``embed_dims`` channels. Maps are channels-last (B, H, W,
    C).
"""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class LayerNorm(nn.LayerNorm):
    """``nn.LayerNorm`` computed in the dtype of its weights, which is float32 under autocast: (...,
    C) to the same.

    On GPUs autocast does the same. On CPUs torch would compute in half precision. It would also
    accumulate the weight gradients in half precision, where rounding loses most of their sum.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype))


class Mlp(nn.Sequential):
    """Two linear layers with an exact (erf) GELU between them, on ``mlp_ratio`` times as many
    channels, rounded down: (..., C) to (..., C).
    """

    def __init__(self, embed_dims: int, mlp_ratio: float):
        super().__init__()
        hidden_dims = int(embed_dims * mlp_ratio)
        self.fc1 = nn.Linear(embed_dims, hidden_dims)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_dims, embed_dims)


class LayerScale(nn.Module):
    """Multiply each channel by a learned factor, ``gamma`` (C,): (..., C) to the same (CaiT, arXiv
    2103.17239).
    """

    def __init__(self, embed_dims: int, init_value: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((embed_dims,), init_value))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma.to(x.dtype)


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): (B, ...) to the same.

    In training, multiply each image by 0 with probability p = ``drop_prob``, else by 1 / (1-p).
    """

    def __init__(self, drop_prob: float):
        super().__init__()
        self.drop_prob = drop_prob
        self.register_buffer('keep_prob', None, persistent=False)
        self.reset_buffers()

    def reset_buffers(self, device: torch.device | None = None) -> None:
        # A tensor, since torch.compile would compile a block for each value of a number.
        self.keep_prob = torch.tensor(1 - self.drop_prob, device=device)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        is_kept = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(self.keep_prob)
        return x * (is_kept / self.keep_prob)


class Residual(nn.Module):
    """Layer scale and drop path of a branch (attention or MLP), before a block adds it to the map:
    drop_path(layer_scale(branch)), (B, ..., C) to the same.

    ``layer_scale`` is the initial value of the factors; None disables layer scale.
    ``drop_path_rate`` is the probability of dropping an image's branch in training.
    """

    def __init__(self, embed_dims: int, layer_scale: float | None, drop_path_rate: float):
        super().__init__()
        self.layer_scale: nn.Module = nn.Identity()
        if layer_scale is not None:
            self.layer_scale = LayerScale(embed_dims, layer_scale)
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate else nn.Identity()

    def forward(self, branch: Tensor) -> Tensor:
        return self.drop_path(self.layer_scale(branch))


def run_blocks(
    blocks: nn.ModuleList, x: Tensor, *others: Tensor | nn.Module, with_cp: bool
) -> Tensor:
    """Apply blocks to a map, one after the other; ``others`` are inputs of each block.

    With activation checkpointing, recompute each block in the backward pass.
    """
    for block in blocks:
        if with_cp:
            x = checkpoint(block, x, *others, use_reentrant=False)
        else:
            x = block(x, *others)
    return x
