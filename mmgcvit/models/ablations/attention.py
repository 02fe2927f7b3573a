"""Variants of GC ViT's attention: global keys or values (paper, table S.2).

Legend: B batch, H x W feature map, nW windows of one image, N tokens of a window, C channels, nH heads, d = C/nH.
"""

from torch import Tensor

from ...registry import MODELS
from ..gcvit import GCViT
from ..gcvit.attention import LocalWindowAttention, WindowAttention
from ..gcvit.stage import Stage
from ..layers.attention import split_heads


class GlobalKeyValueAttention(WindowAttention):
    """Queries come from the window's tokens; keys and values both are the image's global tokens (table S.2, row 1).

    What the generator makes is the image's tokens in one window; as for the paper's query, no further weights apply to
    it (the paper does not say).
    """

    projected = 'q'

    def project(self, windows: Tensor, q_global: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (q,) = split_heads(self.q(windows), self.num_heads)
        return q, q_global, q_global


class GlobalValueAttention(WindowAttention):
    """Queries and keys come from the window's tokens; the values are the image's global tokens (table S.2, row 2)."""

    projected = 'qk'

    def project(self, windows: Tensor, q_global: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k = split_heads(self.qk(windows), self.num_heads, chunks=2)
        return q, k, q_global


class GlobalKeyValueStage(Stage):
    attention_types = (LocalWindowAttention, GlobalKeyValueAttention)


class GlobalValueStage(Stage):
    attention_types = (LocalWindowAttention, GlobalValueAttention)


@MODELS.register_module()
class GCViTGlobalKeyValue(GCViT):
    """GC ViT with global keys and values, and local queries (table S.2, row 1)."""

    stage_type = GlobalKeyValueStage


@MODELS.register_module()
class GCViTGlobalValue(GCViT):
    """GC ViT with global values, and local queries and keys (table S.2, row 2)."""

    stage_type = GlobalValueStage
