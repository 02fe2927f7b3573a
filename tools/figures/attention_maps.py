"""Compute the attention weights of a stage and draw them as maps over the image.

Shapes: H x W tokens of a stage's feature map, h x w window, N = h*w tokens of a window, nW windows,
nH heads.
"""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from mmgcvit.errors import UserError
from mmgcvit.inference.inputs import ImageLike
from mmgcvit.inference.predictor import Predictor
from mmgcvit.models.layers.windows import balance_window, window_partition, window_reverse

from .views import MARK, Box, View, check_index, draw_box, format_head, prepare_view

# Index of the default stage: the feature maps of later stages are too coarse to show positions
DEFAULT_STAGE = 2
# Maximum number of attention weights, 4 GB in float32. Attention without windows over a large
# feature map has more.
MAX_WEIGHTS = 1 << 30
# The colour scale of a column of maps ends at this quantile, so that a few peaks do not hide the
# rest.
LIMIT_QUANTILE = 0.995


@dataclass(frozen=True)
class BlockAttention:
    """The attention of one block: two maps (H, W)."""

    block: int  # index of the block in the stage
    # 'local' (window attention), 'global' (window attention with global queries) or 'all tokens'
    kind: str
    window_size: tuple[int, int]  # (h, w); the size of the feature map if kind is 'all tokens'
    # The attention weights of one query, which sum to 1 over the tokens and the padding of a
    # window. A query of local attention has weights in its own window and NaN elsewhere. A global
    # query has weights in every window.
    weights: np.ndarray
    # The weight that each token receives, averaged over the queries of its window.
    received: np.ndarray


@dataclass(frozen=True)
class Attention:
    """The attention of one block of a stage or, if local and global blocks alternate, of a pair of
    blocks.
    """

    view: View
    stage: int
    head: int | None  # None: the mean of all heads
    at: tuple[float, float]  # position (x, y) of the query, in pixels of the image
    token: tuple[int, int]  # row and column of the query in the feature map
    # The area that the feature map covers, in pixels of the image; with padding, larger than the
    # image
    box: Box
    blocks: list[BlockAttention]


def compute_attention(
    model: Predictor,
    image: ImageLike,
    stage: int | None = None,
    block: int | None = None,
    head: int | None = None,
    at: tuple[float, float] | None = None,
) -> Attention:
    """Compute the attention of a network on an image.

    Args:
        model: A model that :func:`mmgcvit.load` returned.
        image: A path, an array (height, width, 3) in BGR order, or a Pillow image.
        stage: Index of the stage. Default: 2 or, if it has fewer than 4 x 4 tokens, the last
            earlier stage with enough.
        block: Index of the block or of one of an alternating pair, of which both are computed.
            Default: the last.
        head: Index of the head. Default: the mean of all heads.
        at: Position (x, y) of the query in pixels of the image. Default: the centre of what the
            network sees.
    """
    view = prepare_view(model, image)
    stage = view.choose_stage(stage, DEFAULT_STAGE)
    module = view.backbone.stages[stage]
    check_index('block', block, len(module.blocks), f' in stage {stage}')
    if block is None:
        block = len(module.blocks) - 1
    num_types = len(getattr(module, 'attention_types', (None,)))
    first = block - block % num_types
    indices = range(first, min(first + num_types, len(module.blocks)))
    modules = [module.blocks[index].attn for index in indices]
    for index, attn in zip(indices, modules, strict=True):
        if not hasattr(attn, 'window_size'):
            raise UserError(
                f'block {index} of stage {stage}, {type(attn).__name__}, has no attention map. '
                "Choose another block or stage, or 'python tools/visualize.py shifts'"
            )
    check_index('head', head, modules[0].num_heads, f' in stage {stage}')
    inputs = view.record_inputs(modules)
    height, width = inputs[0][0].shape[1:3]
    stride = view.backbone.get_stride(stage)
    u, v = view.to_inputs(at)
    token = min(int(v / stride), height - 1), min(int(u / stride), width - 1)
    blocks = []
    for index, attn, attn_inputs in zip(indices, modules, inputs, strict=True):
        blocks.append(compute_block(index, attn, attn_inputs, token, head))
    at = view.to_image((u, v, u, v))[:2]
    box = view.to_image((0, 0, width * stride, height * stride))
    return Attention(view, stage, head, at, token, box, blocks)


@torch.no_grad()
def compute_block(
    index: int,
    attn: nn.Module,
    inputs: tuple[Tensor, ...],
    token: tuple[int, int],
    head: int | None,
) -> BlockAttention:
    """Compute the attention of a block for the inputs of its module ``attn`` and the query at a
    token (row, column).
    """
    x, *q_global = inputs  # GC ViT's attention also gets the global query
    height, width = size = tuple(x.shape[1:3])
    window_size = attn.window_size or size
    # Attention without a position bias fits its window size to the feature map. Do the same here.
    if not hasattr(attn, 'position'):
        window_size = balance_window(window_size, size)
    # Number the tokens from 1, in windows (nW, N): 0 is padding.
    numbers = torch.arange(1, height * width + 1, device=x.device).reshape(1, height, width, 1)
    numbers = window_partition(numbers, window_size)[0, :, :, 0]
    if numbers.numel() * numbers.shape[1] * attn.num_heads > MAX_WEIGHTS:
        raise UserError(
            f'{numbers.shape[1]:,} tokens are too many to show attention. Choose a later --stage'
        )
    weights = attn.compute_attention_weights(*inputs)[0].float()
    weights = weights.mean(1) if head is None else weights[:, head]  # (nW, N, N)
    row, column = token
    window, query = (numbers == row * width + column + 1).nonzero()[0].tolist()
    query_weights = weights[:, query].clone()
    # The queries of global attention are a view of the global query.
    queries, *_ = attn.project(window_partition(x, window_size), *q_global)
    if q_global and queries.data_ptr() == q_global[0].data_ptr():
        kind = 'global'
        is_query = torch.ones_like(numbers, dtype=torch.bool)  # also at padding
    else:
        kind = 'all tokens' if attn.window_size is None else 'local'
        is_query = numbers > 0
        query_weights[torch.arange(len(numbers)) != window] = float('nan')
    received = (weights * is_query[:, :, None]).sum(1) / is_query.sum(1, keepdim=True).clamp_min(1)

    def make_map(values: Tensor) -> np.ndarray:
        return window_reverse(values[None, :, :, None], window_size, size)[0, :, :, 0].cpu().numpy()

    return BlockAttention(index, kind, window_size, make_map(query_weights), make_map(received))


def draw_attention(result: Attention) -> Figure:
    """Draw the image with the query, and each block's two maps in units of the weight 1/N of
    uniform attention.
    """
    view, blocks = result.view, result.blocks
    title = f'{type(view.backbone).__name__}, stage {result.stage}, {format_head(result.head)}'
    figure = view.make_figure(title, len(blocks), columns=3, width=3.7)
    grid = figure.add_gridspec(len(blocks), 3)
    axes = figure.add_subplot(grid[:, 0])
    x, y = result.at
    height, width = blocks[0].weights.shape
    view.draw_image(axes, f'query at ({x:.0f}, {y:.0f}) px, {height} x {width} tokens')
    draw_windows(axes, result, blocks[-1])
    axes.plot(x, y, '+', color=MARK, markersize=12, markeredgewidth=2)
    contents = {
        'weights': 'attention of the query',
        'received': 'attention that each token receives',
    }
    for column, (name, content) in enumerate(contents.items(), start=1):
        # The maps of a column share a colour scale.
        maps = [getattr(block, name) * np.prod(block.window_size) for block in blocks]
        limit = np.nanquantile(maps, LIMIT_QUANTILE)
        for row, block in enumerate(blocks):
            axes = figure.add_subplot(grid[row, column])
            title = f'block {block.block}, {block.kind}:\n{content}'
            view.overlay_map(axes, maps[row], result.box, title, vmin=0, vmax=limit)
            draw_windows(axes, result, block, with_queries=name == 'weights')
    return figure


def draw_windows(
    axes: Axes, result: Attention, block: BlockAttention, with_queries: bool = False
) -> None:
    """Draw the borders of the windows and, if ``with_queries``, a frame around the query, for a
    global one in each.
    """
    left, top, right, bottom = result.box
    size = height, width = block.weights.shape
    x, y = np.linspace(left, right, width + 1), np.linspace(top, bottom, height + 1)
    rows, columns = block.window_size
    style = {'colors': 'white', 'linewidths': 0.6}
    axes.vlines([*x[::columns], right], top, bottom, **style)
    axes.hlines([*y[::rows], bottom], left, right, **style)
    if not with_queries:
        return
    if block.kind != 'global':
        rows, columns = size  # one query
    for row in range(result.token[0] % rows, height, rows):
        for column in range(result.token[1] % columns, width, columns):
            draw_box(axes, (x[column], y[row], x[column + 1], y[row + 1]), linewidth=1.2)
