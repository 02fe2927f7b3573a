"""Global keys or values in the place of the global query (paper, table S.2).

What the generator makes is the image's tokens in one window; as there for the query, no further weights apply to it
(the paper does not say).

Legend: B batch, nW windows of one image, N tokens of a window, C channels, nH heads, d = C/nH.
"""

from torch import Tensor, nn

from ...hosts.registry import MODELS
from ..gcvit import GCViT
from ..gcvit.attention import LocalWindowAttention, WindowAttention
from ..gcvit.stage import Stage
from ..layers import Window, linear, split_heads


class GlobalKeyValueAttention(WindowAttention):
    """Queries come from the window's tokens; keys and values both are the image's global tokens (row 1)."""

    def __init__(self, embed_dims: int, num_heads: int, window: Window) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.q = nn.Linear(embed_dims, embed_dims)
        self.position = self.position_type(window, num_heads)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def project(self, windows: Tensor, q_global: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (q,) = split_heads(linear(self.q, windows), self.num_heads)
        return q, q_global, q_global


class GlobalValueAttention(WindowAttention):
    """Queries and keys come from the window's tokens; the values are the image's global tokens (row 2)."""

    def __init__(self, embed_dims: int, num_heads: int, window: Window) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.qk = nn.Linear(embed_dims, 2 * embed_dims)
        self.position = self.position_type(window, num_heads)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def project(self, windows: Tensor, q_global: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k = split_heads(linear(self.qk, windows), self.num_heads, chunks=2)
        return q, k, q_global


class GlobalKeyValueStage(Stage):
    """Blocks of local attention and of local queries among global keys and values in turns."""

    attention_types = (LocalWindowAttention, GlobalKeyValueAttention)


class GlobalValueStage(Stage):
    """Blocks of local attention and of local queries and keys with global values in turns."""

    attention_types = (LocalWindowAttention, GlobalValueAttention)


@MODELS.register_module()
class GCViTGlobalKeyValue(GCViT):
    """GC ViT with global keys and values, and local queries (table S.2, row 1)."""

    stage_type = GlobalKeyValueStage


@MODELS.register_module()
class GCViTGlobalValue(GCViT):
    """GC ViT with global values, and local queries and keys (table S.2, row 2)."""

    stage_type = GlobalValueStage
