"""A stage of LSA: position embedding, then blocks; and the downsampler between two stages (paper, section 3).

Legend: B batch, H x W feature map, C channels, T shifts. Maps are channels-last (B, H, W, C). The map that enters the
first stage is a stack of T of them, (T, B, H, W, C), of which the first block, a ShiftBlock, makes one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..layers import (
    LayerNorm,
    Mlp,
    PositionEmbedding,
    ResidualBranch,
    Window,
    even_window,
    pad_to_windows,
    unpad,
    window_partition,
    window_unpartition,
)
from .attention import GlobalAttention, ShiftAttention

NORM_EPS = 1e-6


class Block(nn.Module):
    """Attention and an MLP, each normalised first and added to the map it came from.

    The norms are the stage's: all its blocks share them.

    Args:
        embed_dims: C.
        attn: The attention.
        hidden_dims: Channels inside the MLP.
        drop_path_rate: Probability with which a branch of one image is dropped in training.
    """

    def __init__(self, embed_dims: int, attn: nn.Module, hidden_dims: int, drop_path_rate: float) -> None:
        super().__init__()
        self.attn = attn
        self.attn_residual = ResidualBranch(embed_dims, None, drop_path_rate)
        self.mlp = Mlp(embed_dims, hidden_dims)
        self.mlp_residual = ResidualBranch(embed_dims, None, drop_path_rate)

    def add_branches(self, x: Tensor, attended: Tensor, norm2: nn.Module) -> Tensor:
        """Add what attention found, then what the MLP makes of the sum: (B, H, W, C) to the same."""
        x = self.attn_residual(x, attended)
        return self.mlp_residual(x, self.mlp(norm2(x)))


class ShiftBlock(Block):
    """A block with :class:`ShiftAttention`: (T, B, H, W, C) to (B, H, W, C)."""

    def forward(self, copies: Tensor, norm1: nn.Module, norm2: nn.Module) -> Tensor:
        unshifted = copies[0]
        return self.add_branches(unshifted, self.attn(unshifted, copies, norm1), norm2)


class GlobalBlock(Block):
    """A block with :class:`GlobalAttention`: (B, H, W, C) to the same.

    Args:
        window: The largest window (h, w) to attend in, None for the whole map.
        **kwargs: As for :class:`Block`.
    """

    def __init__(self, window: Window | None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.window = window

    def forward(self, x: Tensor, norm1: nn.Module, norm2: nn.Module) -> Tensor:
        return self.add_branches(x, self.attend_in_windows(norm1(x)), norm2)

    def attend_in_windows(self, x: Tensor) -> Tensor:
        """Attention over a map of any size: (B, H, W, C) to the same."""
        size = x.shape[1:3]
        window = even_window(self.window or size, size)
        padded = pad_to_windows(x, window)
        windows = self.attn(window_partition(padded, window))
        return unpad(window_unpartition(windows, window, padded.shape[1:3]), size)


class Stage(nn.Module):
    """Blocks at one resolution, with the norms that they share and the position embedding before them.

    Args:
        embed_dims: C.
        position: Adds the position embedding.
        blocks: Called with the map and both norms.
        with_cp: Recompute the blocks' activations in the backward pass instead of keeping them.
    """

    def __init__(
        self, embed_dims: int, position: PositionEmbedding, blocks: Sequence[Block], with_cp: bool = False
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.position = position
        self.norm1 = LayerNorm(embed_dims, eps=NORM_EPS)
        self.norm2 = LayerNorm(embed_dims, eps=NORM_EPS)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C), in a first stage of shifted copies (T, B, H, W, C), to (B, H, W, C)."""
        x = self.position(x)
        for block in self.blocks:
            x = self.run_block(block, x)
        return x

    def run_block(self, block: nn.Module, x: Tensor) -> Tensor:
        """Call a block, keeping its activations or not."""
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(block, x, self.norm1, self.norm2, use_reentrant=False)
        return block(x, self.norm1, self.norm2)


class Downsampler(nn.Module):
    """Halve a map: (B, H, W, C) to (B, ceil(H/2), ceil(W/2), C_out).

    3x3 convolution, LayerNorm, max pooling of stride 2.

    Args:
        embed_dims: C.
        out_dims: C_out.
    """

    def __init__(self, embed_dims: int, out_dims: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(embed_dims, out_dims, 3, padding=1)
        self.norm = LayerNorm(out_dims, eps=NORM_EPS)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.pool(self.norm(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def build_blocks(
    embed_dims: int,
    depth: int,
    num_heads: int,
    num_kv_heads: int,
    hidden_dims: int,
    window: Window | None,
    drop_path_rate: float,
    shifted: bool,
) -> list[Block]:
    """The blocks of a stage.

    Args:
        embed_dims: C.
        depth: How many.
        num_heads: Query heads.
        num_kv_heads: Key/value heads.
        hidden_dims: Channels inside the MLPs.
        window: The largest window of global blocks, None for the whole map.
        drop_path_rate: Of every block.
        shifted: Whether the first is a :class:`ShiftBlock`.
    """
    heads = (embed_dims, num_heads, num_kv_heads)
    common = {'embed_dims': embed_dims, 'hidden_dims': hidden_dims, 'drop_path_rate': drop_path_rate}
    first = [ShiftBlock(attn=ShiftAttention(*heads), **common)] if shifted else []
    return first + [GlobalBlock(window, attn=GlobalAttention(*heads), **common) for _ in range(depth - len(first))]
