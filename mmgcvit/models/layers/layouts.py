"""The two layouts of a feature map: channels-last (B, H, W, C) and channels-first (B, C, H, W).

Shapes: B batch, H x W feature map, C channels.
"""

from torch import Tensor


def nhwc_to_nchw(x: Tensor) -> Tensor:
    """Return a map (B, H, W, C) as a view (B, C, H, W), as convolutions and pooling expect it."""
    return x.permute(0, 3, 1, 2)


def nchw_to_nhwc(x: Tensor) -> Tensor:
    """Return a map (B, C, H, W) as a view (B, H, W, C), as LayerNorm and attention expect it."""
    return x.permute(0, 2, 3, 1)
