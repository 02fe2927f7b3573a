"""A stage of GC ViT: the global query, then blocks of alternating local and global attention (paper, section 2).

Legend: B batch, H x W feature map, C channels, h x w window, N = h*w tokens of a window, nH heads, d = C/nH.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..layers import LayerNorm, Mlp, ResidualBranch, Window, pad_to_windows, unpad, window_partition, window_unpartition
from .attention import GlobalWindowAttention, LocalWindowAttention
from .global_query import GlobalQueryGenerator


class Block(nn.Module):
    """Window attention and an MLP, each normalised first and added to the map it came from.

    Args:
        embed_dims: C.
        attn: Attention inside windows, called with windows (B, nW, N, C) and the global query (B, nH, N, d).
        window: (h, w).
        hidden_dims: Channels inside the MLP.
        layer_scale: Initial value of the layer scale, or None for none.
        drop_path_rate: Probability with which a branch of one image is dropped in training.
    """

    def __init__(
        self,
        embed_dims: int,
        attn: nn.Module,
        window: Window,
        hidden_dims: int,
        layer_scale: float | None,
        drop_path_rate: float,
    ) -> None:
        super().__init__()
        self.window = window
        self.norm1 = LayerNorm(embed_dims)
        self.attn = attn
        self.attn_residual = ResidualBranch(embed_dims, layer_scale, drop_path_rate)
        self.norm2 = LayerNorm(embed_dims)
        self.mlp = Mlp(embed_dims, hidden_dims)
        self.mlp_residual = ResidualBranch(embed_dims, layer_scale, drop_path_rate)

    def forward(self, x: Tensor, q_global: Tensor) -> Tensor:
        """Map (B, H, W, C) and global query (B, nH, N, d) to (B, H, W, C)."""
        x = self.attn_residual(x, self.attend_in_windows(self.norm1(x), q_global))
        return self.mlp_residual(x, self.mlp(self.norm2(x)))

    def attend_in_windows(self, x: Tensor, q_global: Tensor) -> Tensor:
        """Attention over a map of any size: (B, H, W, C) to the same."""
        padded = pad_to_windows(x, self.window)
        windows = self.attn(window_partition(padded, self.window), q_global)
        return unpad(window_unpartition(windows, self.window, padded.shape[1:3]), x.shape[1:3])


class Stage(nn.Module):
    """Blocks at one resolution: local attention in blocks 0, 2, ..., global attention in blocks 1, 3, ...

    Args:
        embed_dims: C.
        num_heads: nH.
        window: (h, w).
        mlp_ratio: Channels inside the MLPs, as a multiple of C.
        layer_scale: Initial value of the layer scale, or None for none.
        drop_path_rates: One probability per block; their number is the stage's depth.
        pooled: The global query generator's steps, see :class:`GlobalQueryGenerator`.
        with_cp: Recompute the blocks' activations in the backward pass instead of keeping them.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window: Window,
        mlp_ratio: float,
        layer_scale: float | None,
        drop_path_rates: Sequence[float],
        pooled: tuple[bool, ...],
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        hidden_dims = int(embed_dims * mlp_ratio)
        # Numbers for each token where the map is widest: in the MLPs, or before the stage, where it is twice as large.
        self.width = max(hidden_dims, 4 * embed_dims)
        self.global_query = GlobalQueryGenerator(embed_dims, num_heads, window, pooled)
        if len(drop_path_rates) == 1:
            # A stage of one block has no global attention. Published layouts hold its generator all the same; without
            # a gradient it must not take part in training, or distributed training waits for one.
            self.global_query.requires_grad_(False)
        attentions = (LocalWindowAttention, GlobalWindowAttention)
        self.blocks = nn.ModuleList(
            Block(
                embed_dims=embed_dims,
                attn=attentions[i % 2](embed_dims, num_heads, window),
                window=window,
                hidden_dims=hidden_dims,
                layer_scale=layer_scale,
                drop_path_rate=rate,
            )
            for i, rate in enumerate(drop_path_rates)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same."""
        q_global = self.global_query(x)
        for block in self.blocks:
            x = self.run_block(block, x, q_global)
        return x

    def run_block(self, block: nn.Module, x: Tensor, q_global: Tensor) -> Tensor:
        """Call a block, keeping its activations or not."""
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(block, x, q_global, use_reentrant=False)
        return block(x, q_global)
