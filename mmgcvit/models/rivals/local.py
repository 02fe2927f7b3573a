"""Stages without a global query: all of their attention is inside windows.

Legend: B batch, H x W feature map, C channels, nH heads, d = C/nH.
"""

from torch import Tensor, nn

from ..gcvit.attention import LocalWindowAttention
from ..gcvit.stage import Stage
from ..layers import Window


class NoGlobalQuery(nn.Module):
    """In the place of the global query generator: a query of no tokens, (B, H, W, C) to (B, nH, 0, d).

    Args:
        embed_dims: C.
        num_heads: nH.
        window: Without effect.
        poolings: Without effect.
    """

    def __init__(self, embed_dims: int, num_heads: int, window: Window, poolings: tuple[bool, ...]) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dims = embed_dims // num_heads

    def forward(self, x: Tensor) -> Tensor:
        return x.new_empty(len(x), self.num_heads, 0, self.head_dims)


class LocalStage(Stage):
    """Local attention in every block."""

    global_query_type = NoGlobalQuery
    attention_types = (LocalWindowAttention,)
