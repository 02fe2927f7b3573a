"""A stage of LSA (a position embedding and blocks), and the downsampler between stages (paper,
section 3).

Shapes: B batch, H x W feature map, C = ``embed_dims`` channels. Maps are channels-last (B, H, W,
    C).

In variants with shifts, the first stage takes the maps of T shifted copies, (T, B, H, W, C). Its
first block turns them into one.
"""

from collections.abc import Callable

from torch import Tensor, nn

from ..layers.arguments import Size, Window
from ..layers.blocks import LayerNorm, Mlp, Residual, run_blocks
from ..layers.layouts import nchw_to_nhwc, nhwc_to_nchw
from ..layers.position import PositionEmbedding
from .archs import LSAArch
from .attention import GroupedAttention, SelfAttention

NORM_EPS = 1e-6


class Block(nn.Module):
    """Pre-norm block of attention and an MLP.

    ``attn_residual`` and ``mlp_residual`` are drop path of the two branches.
    """

    def __init__(self, embed_dims: int, attn: nn.Module, mlp_ratio: float, drop_path_rate: float):
        super().__init__()
        self.attn = attn
        self.attn_residual = Residual(embed_dims, None, drop_path_rate)
        self.mlp = Mlp(embed_dims, mlp_ratio)
        self.mlp_residual = Residual(embed_dims, None, drop_path_rate)

    def forward(self, x: Tensor, norm1: nn.Module, norm2: nn.Module) -> Tensor:
        """Apply the block to a map (B, H, W, C). The norms are the stage's."""
        x = x + self.attn_residual(self.attn(norm1(x)))
        return x + self.mlp_residual(self.mlp(norm2(x)))


class ShiftBlock(Block):
    """The paper's local attention block, with :class:`.ShiftAttention`: makes one map of those of T
    shifted copies.
    """

    def forward(self, copies: Tensor, norm1: nn.Module, norm2: nn.Module) -> Tensor:
        """Make a map (B, H, W, C) of the copies' (T, B, H, W, C). The norms are the stage's."""
        unshifted = copies[0]
        x = unshifted + self.attn_residual(self.attn(norm1(copies)))
        return x + self.mlp_residual(self.mlp(norm2(x)))


class Stage(nn.Module):
    """A position embedding, then blocks at one resolution, which share two norms.

    ``index`` is that of the stage, ``grid`` the size (h, w) of the position embedding, and
    ``window_size`` the largest window. In variants with shifts, the first stage takes the maps of
    shifted copies, and its first block is of ``first_block_type``.
    """

    def __init__(
        self,
        arch: LSAArch,
        index: int,
        grid: Size,
        window_size: Window | None,
        drop_path_rate: float,
        with_cp: bool,
        first_block_type: type[Block],
        first_attention_type: Callable[[int, int, int], GroupedAttention],
    ):
        super().__init__()
        self.with_cp = with_cp
        embed_dims = arch.embed_dims[index]
        num_heads = arch.num_heads[index]
        num_kv_heads = arch.kv_heads[index]
        shifts = arch.shifts if index == 0 else None
        # The copies share a position embedding, or each has its own.
        num_copies = None if shifts is None or arch.shared_position else len(shifts)
        self.position = PositionEmbedding(embed_dims, grid, num_copies)
        self.norm1 = LayerNorm(embed_dims, eps=NORM_EPS)
        self.norm2 = LayerNorm(embed_dims, eps=NORM_EPS)
        self.blocks = nn.ModuleList()
        for i in range(arch.depths[index]):
            block_type: type[Block]
            attn: GroupedAttention
            if i == 0 and shifts is not None:
                block_type = first_block_type
                attn = first_attention_type(embed_dims, num_heads, num_kv_heads)
            else:
                block_type = Block
                attn = SelfAttention(embed_dims, num_heads, num_kv_heads, window_size)
            block = block_type(embed_dims, attn, arch.mlp_ratio, drop_path_rate)
            self.blocks.append(block)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the stage to a map (B, H, W, C), or to maps of shifted copies (T, B, H, W, C)."""
        x = self.position(x)
        # All blocks share two norms, as in the authors' code.
        return run_blocks(self.blocks, x, self.norm1, self.norm2, with_cp=self.with_cp)


class Downsampler(nn.Module):
    """Halve the resolution of a map: (B, H, W, C) to (B, ceil(H/2), ceil(W/2), ``out_dims``).

    The layers are a 3x3 convolution, LayerNorm (in the authors' code, not in the paper) and max
    pooling with stride 2.
    """

    def __init__(self, embed_dims: int, out_dims: int):
        super().__init__()
        self.conv = nn.Conv2d(embed_dims, out_dims, 3, padding=1)
        self.norm = LayerNorm(out_dims, eps=NORM_EPS)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(nchw_to_nhwc(self.conv(nhwc_to_nchw(x))))
        return nchw_to_nhwc(self.pool(nhwc_to_nchw(x)))
