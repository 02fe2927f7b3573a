"""The global query generator (paper, section 2): from a map, the queries that all its windows share.

Shapes: B batch, H x W feature map, C channels, h x w window, N = h*w tokens of a window, nH heads, d = C/nH.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ..layers.arguments import Window, check_img_size
from ..layers.resizing import resize
from ..layers.tracing import is_tracing, nhwc_to_nchw
from .convs import FusedMBConv


class FeatureExtractor(nn.Module):
    """One step of the generator: FusedMBConv, then max pooling of stride 2 unless the step keeps the size."""

    def __init__(self, embed_dims: int, pooled: bool) -> None:
        super().__init__()
        self.conv = FusedMBConv(embed_dims)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if pooled else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.conv(x))


class GlobalQueryGenerator(nn.Module):
    """Reduce a whole map to the size of one window, to be the queries of every window.

    The steps do that for images of the pretraining size; maps of other images are resized at the end (bicubic).

    Args:
        embed_dims: C.
        num_heads: nH.
        window: (h, w).
        poolings: For each step whether it halves the map.
    """

    def __init__(self, embed_dims: int, num_heads: int, window: Window, poolings: tuple[bool, ...]) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.extractors = nn.Sequential(*(FeatureExtractor(embed_dims, step) for step in poolings))

    def forward(self, x: Tensor) -> Tensor:
        """Make the queries: (B, H, W, C) to (B, nH, N, d)."""
        x = self.extractors(nhwc_to_nchw(x))
        # Traces serve all sizes, and so always resize; to the same size that changes nothing.
        if is_tracing() or x.shape[2:] != self.window:
            x = resize(x, self.window)
        return x.flatten(2).unflatten(1, (self.num_heads, x.shape[1] // self.num_heads)).transpose(2, 3)


def query_poolings(windows: Sequence[Window], pretrain_img_size: int | tuple[int, int]) -> tuple[tuple[bool, ...], ...]:
    """For each of the four stages, the steps of its generator: True for one that halves the map.

    For the published windows 7, 7, 14, 7 and images of 224 px, maps of 56, 28, 14 and 7 tokens a side come out at the
    window's size: stage 0 halves three times, stage 1 twice, stages 2 and 3 never. The arguments decide of stage 2
    only: it halves once unless its window is the whole map of such an image, as in the published networks, and the
    resize that follows makes up for a window that is larger.
    """
    size = check_img_size(pretrain_img_size)
    window_is_map = size == (16 * windows[2][0], 16 * windows[2][1])
    return (True, True, True), (True, True), (not window_is_map,), (False,)
