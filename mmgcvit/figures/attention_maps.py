"""Compute the attention weights of a stage and draw them as maps over the image.

Shapes: H x W tokens of a stage's feature map, h x w window, N = h*w tokens of a window, nW windows,
    nH heads.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from ..errors import UserError
from ..inference.inputs import ImageLike
from ..inference.predictor import Predictor
from ..models.layers.windows import balance_window, ceil_div, window_partition, window_reverse
from .views import MARK, Box, View, check_index, draw_box, prepare_view

# Index of the default stage: the feature maps of later stages are too coarse to show positions
DEFAULT_STAGE = 2
# Maximum number of attention weights, 4 GB in float32. Attention without windows over a large
# feature map has more.
MAX_WEIGHTS = 1 << 30


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
    received: (
        np.ndarray
    )  # the weight that each token receives, averaged over the queries of its window


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
    backbone = view.backbone
    stage = view.choose_stage(stage, DEFAULT_STAGE)
    blocks = backbone.stages[stage].blocks
    check_index('block', block, len(blocks), f' in stage {stage}')
    num_types = len(getattr(backbone.stages[stage], 'attention_types', (None,)))
    first = (len(blocks) - 1 if block is None else block) // num_types * num_types
    indices = range(first, min(first + num_types, len(blocks)))
    modules = [blocks[index].attn for index in indices]
    for index, attn in zip(indices, modules, strict=True):
        if not hasattr(attn, 'window_size'):
            other = "Choose another block or stage, or 'mmgcvit visualize shifts'"
            raise UserError(
                f'block {index} of stage {stage}, {type(attn).__name__}, has no attention map. '
                f'{other}'
            )
    check_index('head', head, modules[0].num_heads, f' in stage {stage}')
    inputs = view.record_inputs(modules)
    height, width = inputs[0][0].shape[1:3]
    stride = backbone.get_stride(stage)
    u, v = view.to_inputs(at)
    token = min(int(v / stride), height - 1), min(int(u / stride), width - 1)
    arguments = zip(indices, modules, inputs, strict=True)
    maps = [
        compute_block(index, attn, attn_inputs, token, head)
        for index, attn, attn_inputs in arguments
    ]
    at, box = (
        view.to_image((u, v, u, v))[:2],
        view.to_image((0, 0, width * stride, height * stride)),
    )
    return Attention(view, stage, head, at, token, box, maps)


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
    size = tuple(inputs[0].shape[1:3])
    window_size = attn.window_size or size
    # Attention without a position bias fits its window size to the feature map. Do the same here.
    if not hasattr(attn, 'position'):
        window_size = balance_window(window_size, size)
    # (nW, N), 1 for tokens and 0 for padding.
    is_token = window_partition(inputs[0].new_ones(1, *size, 1).float(), window_size)[0, :, :, 0]
    if is_token.numel() * is_token.shape[1] * attn.num_heads > MAX_WEIGHTS:
        raise UserError(
            f'{is_token.shape[1]:,} tokens are too many to show attention. Choose a later --stage'
        )
    weights = attn.compute_attention_weights(*inputs)[0].float()
    weights = weights.mean(1) if head is None else weights[:, head]
    # GC ViT's attention has the inputs x and q_global. If global, its queries are a view of
    # q_global.
    x, *q_global = inputs
    queries = attn.project(window_partition(x, window_size), *q_global)[0]
    is_global = bool(q_global) and queries.data_ptr() == q_global[0].data_ptr()
    kind = 'global' if is_global else 'all tokens' if attn.window_size is None else 'local'
    row, column = token
    query_weights = weights[
        :, row % window_size[0] * window_size[1] + column % window_size[1]
    ].clone()
    if not is_global:
        query_window = (
            row // window_size[0] * ceil_div(size[1], window_size[1]) + column // window_size[1]
        )
        query_weights[torch.arange(len(query_weights)) != query_window] = float('nan')
    # In local attention, padding does not count as a query. In global attention, all N tokens of
    # q_global count.
    is_query = torch.ones_like(is_token) if is_global else is_token
    received = (weights * is_query[:, :, None]).sum(1) / is_query.sum(1, keepdim=True).clamp_min(1)
    maps = (
        window_reverse(values[None, :, :, None], window_size, size)
        for values in (query_weights, received)
    )
    return BlockAttention(
        index, kind, window_size, *(values[0, :, :, 0].cpu().numpy() for values in maps)
    )


def draw_attention(result: Attention) -> Figure:
    """Draw the image with the query, and each block's two maps in units of the weight 1/N of
    uniform attention.
    """
    view, rows = result.view, len(result.blocks)
    height, width = result.blocks[0].weights.shape
    heads = 'mean of all heads' if result.head is None else f'head {result.head}'
    title = f'{type(view.backbone).__name__}, stage {result.stage}, {heads}'
    figure = view.make_figure(title, rows, columns=3, width=3.7)
    grid = figure.add_gridspec(rows, 3)
    image_axes = figure.add_subplot(grid[:, 0])
    view.draw_image(
        image_axes,
        f'query at ({result.at[0]:.0f}, {result.at[1]:.0f}) px, {height} x {width} tokens',
    )
    draw_windows(image_axes, result, result.blocks[-1])
    image_axes.plot(*result.at, '+', color=MARK, markersize=12, markeredgewidth=2)
    for column, name in enumerate(('weights', 'received'), start=1):
        # The maps of a column share a colour scale. It ends at a quantile, so that a few peaks do
        # not hide the rest.
        maps = [getattr(block, name) * np.prod(block.window_size) for block in result.blocks]
        limit = np.nanquantile(maps, 0.995)
        for row, block in enumerate(result.blocks):
            axes = figure.add_subplot(grid[row, column])
            content = (
                'attention of the query'
                if name == 'weights'
                else 'attention that each token receives'
            )
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
    size = height, width = block.weights.shape
    x, y = np.linspace(*result.box[::2], width + 1), np.linspace(*result.box[1::2], height + 1)
    style = {'colors': 'white', 'linewidths': 0.6}
    axes.vlines([*x[:: block.window_size[1]], x[-1]], y[0], y[-1], **style)
    axes.hlines([*y[:: block.window_size[0]], y[-1]], x[0], x[-1], **style)
    if with_queries:
        steps = block.window_size if block.kind == 'global' else size
        rows, columns = (
            range(i % step, side, step)
            for i, step, side in zip(result.token, steps, size, strict=True)
        )
        for row, column in product(rows, columns):
            draw_box(axes, (x[column], y[row], x[column + 1], y[row + 1]), linewidth=1.2)
