"""A stage of GC ViT: the global query, then blocks of alternating local and global attention
(paper, section 2).

Shapes: B batch, H x W feature map, C = ``embed_dims`` channels, h x w window, N = h*w tokens of a
    window, nH heads, d = C/nH.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ..layers.arguments import Window, require
from ..layers.blocks import LayerNorm, Mlp, Residual, run_blocks
from .archs import GCViTArch
from .attention import AttentionType, WindowAttention
from .global_query import GlobalQueryType


class Block(nn.Module):
    """Pre-norm block of window attention and an MLP. Attention also gets the global query.

    ``attn_residual`` and ``mlp_residual`` are layer scale and drop path of the two branches.
    """

    def __init__(
        self,
        embed_dims: int,
        attn: WindowAttention,
        mlp_ratio: float,
        layer_scale: float | None,
        drop_path_rate: float,
    ):
        super().__init__()
        self.norm1 = LayerNorm(embed_dims)
        self.attn = attn
        self.attn_residual = Residual(embed_dims, layer_scale, drop_path_rate)
        self.norm2 = LayerNorm(embed_dims)
        self.mlp = Mlp(embed_dims, mlp_ratio)
        self.mlp_residual = Residual(embed_dims, layer_scale, drop_path_rate)

    def forward(self, x: Tensor, q_global: Tensor) -> Tensor:
        """Apply the block to a map (B, H, W, C).

        ``q_global`` is the global query of the stage, (B, nH, N, d).
        """
        x = x + self.attn_residual(self.attn(self.norm1(x), q_global))
        return x + self.mlp_residual(self.mlp(self.norm2(x)))


class Stage(nn.Module):
    """Blocks at one resolution, whose types of attention alternate: in the paper local attention
    in blocks 0, 2, ..., and global attention in blocks 1, 3, ...

    ``index`` is that of the stage, and ``drop_path_rates`` has one rate for each block.
    ``num_poolings`` is the global query's.
    """

    def __init__(
        self,
        arch: GCViTArch,
        index: int,
        window_size: Window,
        drop_path_rates: Sequence[float],
        num_poolings: int,
        with_cp: bool,
        global_query_type: GlobalQueryType,
        attention_types: Sequence[AttentionType],
    ):
        super().__init__()
        # A subclass with class attributes of these names would be another network than it says.
        for name in ('attention_types', 'global_query_type'):
            is_on_stage = hasattr(type(self), name)
            require(name, type(self), not is_on_stage, 'it on the backbone, not on its stage')
        self.with_cp = with_cp
        dims = arch.stage_dims[index]
        num_heads = arch.num_heads[index]
        self.global_query = global_query_type(dims, num_heads, window_size, num_poolings)
        blocks = []
        for i, drop_path_rate in enumerate(drop_path_rates):
            attention_type = attention_types[i % len(attention_types)]
            attn = attention_type(dims, num_heads, window_size)
            block = Block(dims, attn, arch.mlp_ratio, arch.layer_scale, drop_path_rate)
            blocks.append(block)
        self.blocks = nn.ModuleList(blocks)
        if not any(block.attn.uses_global_query for block in blocks):
            # A stage of one block has no global attention, but the authors' code has a generator
            # there too. Freeze it, because DistributedDataParallel rejects trainable parameters
            # without gradients.
            self.global_query.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the blocks to a map (B, H, W, C)."""
        # One query serves all blocks and windows; attend repeats it per window.
        return run_blocks(self.blocks, x, self.global_query(x), with_cp=self.with_cp)
