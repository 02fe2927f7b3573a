"""Generate the global query: queries from a whole feature map, shared by all of its windows (paper,
section 2).

Shapes: B batch, H x W feature map, C channels, h x w window, N = h*w tokens of a window, nH heads,
    d = C/nH.
"""

from collections.abc import Callable

from torch import Tensor, nn

from ..layers.arguments import Window
from ..layers.autocast import cast_for_autocast
from ..layers.layouts import nhwc_to_nchw
from ..layers.resizing import resize
from .convs import FusedMBConv


class FeatureExtractor(nn.Sequential):
    """One step of the generator: FusedMBConv, then max pooling with stride 2 if ``pooled``."""

    def __init__(self, embed_dims: int, pooled: bool):
        super().__init__()
        self.conv = FusedMBConv(embed_dims)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if pooled else nn.Identity()


# A class of generators: embed_dims, num_heads, window_size and num_poolings to an instance.
GlobalQueryType = Callable[[int, int, Window, int], nn.Module]


class GlobalQueryGenerator(nn.Module):
    """Reduce a map to the size of one window. The tokens of the reduced map are the queries of
    every window.

    ``num_poolings`` steps, each halving the map (0: one step, unhalved). Then resize to the window;
    a no-op at 224 px with the published windows.
    """

    def __init__(self, embed_dims: int, num_heads: int, window_size: Window, num_poolings: int):
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.extractors = nn.Sequential(
            *(FeatureExtractor(embed_dims, num_poolings > 0) for _ in range(max(num_poolings, 1)))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute the queries: (B, H, W, C) to (B, nH, N, d)."""
        x = cast_for_autocast(nhwc_to_nchw(x))  # once here, not in each convolution
        x = resize(self.extractors(x), self.window_size)
        queries = x.flatten(2).unflatten(1, (self.num_heads, -1)).transpose(2, 3)
        return queries.contiguous()  # one layout for maps of all sizes, for torch.compile
