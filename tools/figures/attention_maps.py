"""Compute the attention weights of a stage and draw them as maps over the image.

Shapes: H x W tokens of a stage's feature map, h x w window, N = h*w tokens of a window, nW windows,
nH heads.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor, nn

from mmgcvit.errors import UserError
from mmgcvit.models.gcvit.attention import GlobalWindowAttention
from mmgcvit.models.layers.padding import ceil_div
from mmgcvit.models.layers.windows import balance_window, window_partition, window_reverse
from mmgcvit.models.lsa.attention import SelfAttention
from mmgcvit.predict.inputs import ImageLike
from mmgcvit.predict.predictor import Predictor

from .views import View, check_index, format_head, prepare_view

# Index of the default stage: the feature maps of later stages are too coarse to show positions
DEFAULT_STAGE = 2
# Maximum number of attention weights, 4 GB in float32. Attention without windows over a large
# feature map has more.
MAX_WEIGHTS = 1 << 30
# The colour scale of a column of maps ends at this quantile, so that a few peaks do not hide the
# rest.
LIMIT_QUANTILE = 0.995
MARK = '#00e5ff'  # colour of the query


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
    weights: NDArray[np.float32]
    # The weight that each token receives, averaged over the queries of its window.
    received: NDArray[np.float32]


@dataclass(frozen=True)
class Attention:
    """The attention of one block of a stage or, if local and global blocks alternate, of a pair of
    blocks.
    """

    view: View
    stage: int
    head: int | None  # None: the mean of all heads
    at: tuple[float, float]  # position (x, y) of the query, in pixels of the network's input
    token: tuple[int, int]  # row and column of the query in the feature map
    blocks: list[BlockAttention]


def compute_attention(
    model: Predictor[Any],
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
            Default: the last block, or the last pair.
        head: Index of the head. Default: the mean of all heads.
        at: Position (x, y) of the query in pixels of the network's input, to which the test
            pipeline resizes and crops the image. Default: the centre.

    Raises:
        UserError: The backbone is not of this package, an argument is out of its range, or a block
            has no attention map.
    """
    view = prepare_view(model, image)
    stage = view.choose_stage(stage, DEFAULT_STAGE)
    module = view.backbone.stages[stage]
    count = len(module.blocks)
    check_index('block', block, count, f' in stage {stage}')
    num_types = len(getattr(view.backbone, 'attention_types', (None,)))
    if block is None:
        # A stage with an odd number of blocks ends with a local one, which has no partner.
        block = max(count - count % num_types, 1) - 1
    first = block - block % num_types
    indices = range(first, min(first + num_types, count))
    modules = [module.blocks[index].attn for index in indices]
    for index, attn in zip(indices, modules, strict=True):
        if not hasattr(attn, 'window_size'):
            raise UserError(
                f'block {index} of stage {stage}, {type(attn).__name__}, has no attention map. '
                'Choose another block or stage, or draw shifts'
            )
    check_index('head', head, modules[0].num_heads, f' in stage {stage}')
    image_height, image_width = view.image.shape[:2]
    x, y = at or (image_width / 2, image_height / 2)
    if not (0 <= x < image_width and 0 <= y < image_height):
        raise UserError(
            f'position {x:g},{y:g} is outside of the {image_width} x {image_height} px that the '
            'network gets'
        )
    inputs = view.record_inputs(modules)
    height, width = inputs[0][0].shape[1:3]
    stride = view.backbone.get_stride(stage)
    token = min(int(y / stride), height - 1), min(int(x / stride), width - 1)
    blocks = []
    for index, attn, attn_inputs in zip(indices, modules, inputs, strict=True):
        block_attention = compute_block(index, attn, inputs=attn_inputs, token=token, head=head)
        blocks.append(block_attention)
    return Attention(view=view, stage=stage, head=head, at=(x, y), token=token, blocks=blocks)


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
    x = inputs[0]  # GC ViT's attention also gets the global query
    height, width = size = tuple(x.shape[1:3])
    window_size = attn.window_size or size
    if isinstance(attn, SelfAttention):  # which shrinks its windows to fit the feature map
        window_size = balance_window(window_size, size)
    # (nW, N), 0 at padding
    is_token = window_partition(x.new_ones(1, height, width, 1), window_size)[0, :, :, 0]
    num_windows, num_tokens = is_token.shape
    if num_windows * num_tokens**2 * attn.num_heads > MAX_WEIGHTS:
        raise UserError(
            f'{num_tokens:,} tokens are too many to show attention. Choose a later --stage'
        )
    weights = attn.compute_attention_weights(*inputs)[0].float()
    weights = weights.mean(1) if head is None else weights[:, head]  # (nW, N, N)
    (row, column), (h, w) = token, window_size
    query_weights = weights[:, row % h * w + column % w].clone()
    if isinstance(attn, GlobalWindowAttention):
        kind = 'global'
        received = weights.mean(1)
    else:
        kind = 'all tokens' if attn.window_size is None else 'local'
        window = row // h * ceil_div(width, w) + column // w
        query_weights[torch.arange(num_windows) != window] = float('nan')
        received = (weights * is_token[:, :, None]).sum(1) / is_token.sum(1, keepdim=True)

    def make_map(values: Tensor) -> NDArray[np.float32]:
        return window_reverse(values[None, :, :, None], window_size, size)[0, :, :, 0].cpu().numpy()

    return BlockAttention(
        block=index,
        kind=kind,
        window_size=window_size,
        weights=make_map(query_weights),
        received=make_map(received),
    )


def draw_attention(result: Attention) -> Figure:
    """Draw the image with the query, and each block's two maps in units of the weight 1/N of
    uniform attention.
    """
    view, blocks = result.view, result.blocks
    title = f'{type(view.backbone).__name__}, stage {result.stage}, {format_head(result.head)}'
    panels = [['image', f'weights {b.block}', f'received {b.block}'] for b in blocks]
    figure, axes = view.make_figure(title, panels)
    x, y = result.at
    height, width = blocks[0].weights.shape
    view.draw_image(axes['image'], f'query at ({x:.0f}, {y:.0f}) px, {height} x {width} tokens')
    axes['image'].plot(x, y, '+', color=MARK, markersize=12, markeredgewidth=2)
    stride = view.backbone.get_stride(result.stage)
    draw_windows(axes['image'], blocks[-1], stride)
    contents = {
        'weights': 'attention of the query',
        'received': 'attention that each token receives',
    }
    for name, content in contents.items():
        # The maps of a column share a colour scale.
        maps = [getattr(block, name) * np.prod(block.window_size) for block in blocks]
        limit = np.nanquantile(maps, LIMIT_QUANTILE)
        for block, values in zip(blocks, maps, strict=True):
            panel = axes[f'{name} {block.block}']
            title = f'block {block.block}, {block.kind}:\n{content}'
            view.draw_map(panel, values, stride, title, vmin=0, vmax=limit)
            draw_windows(panel, block, stride)
            if name == 'weights':
                draw_queries(panel, block, stride, result.token)
    return figure


def draw_windows(axes: Axes, block: BlockAttention, stride: int) -> None:
    """Draw the borders between the windows."""
    height, width = block.weights.shape
    rows, columns = block.window_size
    for row in range(rows, height, rows):
        axes.axhline(row * stride, color='white', linewidth=0.6)
    for column in range(columns, width, columns):
        axes.axvline(column * stride, color='white', linewidth=0.6)


def draw_queries(axes: Axes, block: BlockAttention, stride: int, token: tuple[int, int]) -> None:
    """Draw a frame around the query, for a global one in each window."""
    height, width = block.weights.shape
    # The distance between two frames: one in the map, or one in each window.
    rows, columns = block.window_size if block.kind == 'global' else (height, width)
    for row in range(token[0] % rows, height, rows):
        for column in range(token[1] % columns, width, columns):
            corner = (column * stride, row * stride)
            axes.add_patch(
                Rectangle(corner, stride, stride, fill=False, edgecolor=MARK, linewidth=1.2)
            )
