"""Attention weights as maps over the tokens of an image, computed and drawn.

Shapes: H x W tokens of a stage's map, nW windows, N tokens of a window, nH heads.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from ..errors import UserError
from ..inference import Predictor
from ..inference.images import ImageLike
from ..models.layers import in_windows
from ..models.layers.windows import even_window
from .drawing import MARK, choose_limits, draw_borders, draw_box, draw_image, draw_map, get_height, make_figure
from .networks import (
    Box,
    View,
    check_number,
    find_detailed_stage,
    get_backbone,
    get_stride,
    prepare_view,
    record_inputs,
)

# Later maps are coarse.
LAST_BY_DEFAULT = 2
# Elements of the largest tensor of weights, 4 GB: where all tokens of a large map attend to each other there are more.
MOST_WEIGHTS = 1 << 30
# Of a picture.
PANEL = 3.7
WHO = {
    'local': "the token's attention to its own window",
    'global': 'the global token at this place, in every window',
    'all': "the token's attention to all tokens",
}


@dataclass(frozen=True)
class BlockAttention:
    """The attention of one block, as maps (H, W).

    The kind is ``'local'``: queries and keys of the same window; ``'global'``: queries of the whole image, keys of each
    window; ``'all'``: queries and keys are all tokens of the map.
    """

    block: int  # its number in the stage
    kind: str
    keys: int  # N, how many a query has, those of padding among them
    # How much a query attends to each token; nan at tokens that are none of its keys. The query is that of a local
    # token, or the global one at the same place of each window. Over a window's keys, with padding, they sum to 1.
    weights: np.ndarray
    received: np.ndarray  # the weight with which a token is attended to, averaged over the queries of its window
    windows: np.ndarray  # the number of each token's window
    asking: np.ndarray  # bool, the tokens at whose places the query is


@dataclass(frozen=True)
class Attention:
    """The attention of a stage, in one block or in a pair of a local and a global one."""

    view: View
    network: str  # the backbone's class
    stage: int
    head: int | None  # None is the mean of all
    at: tuple[float, float]  # the query, in pixels of the image
    box: Box  # what the map covers, in pixels of the image; with padding more than the image
    blocks: list[BlockAttention]


def attention(
    model: Predictor,
    image: ImageLike,
    stage: int | None = None,
    block: int | None = None,
    head: int | None = None,
    at: tuple[float, float] | None = None,
) -> Attention:
    """Compute the attention of a network on an image.

    Args:
        model: As :func:`mmgcvit.load` makes it.
        image: A path, an array (height, width, 3) in the order blue, green, red, or an image of Pillow's.
        stage: From 0. Default: 2, or an earlier one where its map has fewer than 4 x 4 tokens.
        block: From 0. Where blocks of two kinds take turns, the pair is taken that it belongs to. Default: the last.
        head: From 0. Default: the mean of all heads.
        at: Where the query is, x and y in pixels of the image. Default: the middle.
    """
    backbone = get_backbone(model)
    check_number('stage', stage, backbone.num_stages)
    view = prepare_view(model, image)
    if stage is None:
        stage = find_detailed_stage(backbone, view.inputs, min(LAST_BY_DEFAULT, backbone.num_stages - 1))
    blocks = backbone.stages[stage].blocks
    check_number('block', block, len(blocks), f' in stage {stage}')
    # Where the stage's blocks are of several kinds, those that take turns.
    turns = len(getattr(backbone.stages[stage], 'attention_types', (None,)))
    first = (len(blocks) - 1 if block is None else block) // turns * turns
    numbers = range(first, min(first + turns, len(blocks)))
    u, v = view.in_inputs(at)
    attended = [blocks[number].attn for number in numbers]
    for attn, number in zip(attended, numbers, strict=True):
        where = f'block {number} of stage {stage}'
        if not hasattr(attn, 'attention_weights'):
            raise UserError(f'{where} has {type(attn).__name__}, which does not tell its weights; take another block')
        if not hasattr(attn, 'window'):
            raise UserError(
                f"{where} attends to shifted copies of each patch: draw it by 'shifts', or take another block"
            )
    check_number('head', head, attended[0].num_heads, f' in stage {stage}')
    inputs = record_inputs(backbone, view.inputs, attended)
    height, width = inputs[0][0].shape[1:3]
    stride = get_stride(backbone, stage)
    token = min(int(v / stride), height - 1), min(int(u / stride), width - 1)
    each = zip(numbers, attended, inputs, strict=True)
    found = [block_attention(number, attn, x, token, head) for number, attn, x in each]
    place, box = view.in_image((u, v, u, v))[:2], view.in_image((0, 0, width * stride, height * stride))
    return Attention(view, type(backbone).__name__, stage, head, place, box, found)


@torch.no_grad()
def block_attention(
    number: int, attn: nn.Module, inputs: tuple[Tensor, ...], token: tuple[int, int], head: int | None
) -> BlockAttention:
    """The attention of a block with these inputs, of one image: the map, and a global query where there is one."""
    size = tuple(inputs[0].shape[1:3])
    numbers = number_tokens(attn, size, inputs[0].device)
    kind = get_kind(attn, inputs, numbers)
    if numbers.numel() * numbers.shape[1] * attn.num_heads > MOST_WEIGHTS:
        raise UserError(f'{numbers.shape[1]:,} tokens that all attend to each other are too many; take a later stage')
    weights = attn.attention_weights(*inputs)[0].float()
    weights = weights.mean(1) if head is None else weights[:, head]
    window, query = ((numbers == token[0] * size[1] + token[1] + 1).nonzero()[0]).tolist()
    here = slice(None) if kind == 'global' else slice(window, window + 1)
    asking = torch.zeros_like(weights[:, 0])
    asking[here, query] = 1
    # Padding counts for nothing as a query, unless queries are global.
    counted = (numbers > 0 if kind != 'global' else torch.ones_like(numbers)).to(weights.dtype)[:, :, None]
    return BlockAttention(
        block=number,
        kind=kind,
        keys=numbers.shape[1],
        weights=assemble_map(weights[here, query], numbers[here], size),
        received=assemble_map((weights * counted).sum(1) / counted.sum(1).clamp_min(1), numbers, size),
        windows=assemble_map(torch.arange(len(numbers)).to(numbers)[:, None].expand_as(numbers), numbers, size),
        asking=assemble_map(asking, numbers, size) == 1,
    )


def get_kind(attn: nn.Module, inputs: tuple[Tensor, ...], numbers: Tensor) -> str:
    """Where queries and keys come from; see :class:`BlockAttention`."""
    if len(inputs) == 1:
        return 'all' if len(numbers) == 1 else 'local'
    x, q_global = inputs
    q, k, _ = attn.project(in_windows(x, attn.window), q_global)
    if k is q_global:
        raise UserError(f'{type(attn).__name__} has global keys, which are no tokens of the map; take GCViT itself')
    return 'global' if q is q_global else 'local'


def number_tokens(attn: nn.Module, size: tuple[int, int], device: torch.device) -> Tensor:
    """Which token of a map of ``size`` = (H, W) is where in the windows: (nW, N), from 1 row by row, 0 for padding."""
    tokens = torch.arange(1, size[0] * size[1] + 1, device=device).view(1, *size, 1)
    if hasattr(attn, 'shifted'):  # windows that begin elsewhere than the map does
        tokens = attn.shifted(tokens)
    return in_windows(tokens, get_window(attn, size))[0, :, :, 0]


def get_window(attn: nn.Module, size: tuple[int, int]) -> tuple[int, int] | None:
    """The window (h, w) into which an attention cuts a map of ``size`` = (H, W), None where it does not."""
    if attn.window is None or hasattr(attn, 'position'):
        return attn.window
    return even_window(attn.window, size)  # without a position bias windows may have any shape


def assemble_map(values: Tensor, numbers: Tensor, size: tuple[int, int]) -> Any:
    """Values of windows as a map, without padding: both (nW, N) to (H, W); nan at tokens without a value."""
    flat = torch.full((size[0] * size[1] + 1,), float('nan'), device=values.device)
    flat[numbers.flatten()] = values.flatten().to(flat.dtype)
    return flat[1:].view(size).cpu().numpy()


def draw_attention(found: Attention) -> Figure:
    """Draw the image with the query's place, and for each block what the query attends to and what all queries do.

    Attention is drawn as a multiple of the share that each key would have if all had the same.
    """
    view, rows = found.view, len(found.blocks)
    heads = 'mean of all heads' if found.head is None else f'head {found.head}'
    title = f'{found.network}, stage {found.stage}, {heads}'
    figure = make_figure(title, 3 * PANEL + 1.6, rows * (get_height(view, PANEL) + 0.5) + 0.6)
    grid = figure.add_gridspec(rows, 3)
    left = figure.add_subplot(grid[:, 0])
    height, width = found.blocks[0].weights.shape
    draw_image(left, view, f'image; the query at {found.at[0]:.0f}, {found.at[1]:.0f}; {height} x {width} tokens')
    draw_borders(left, found.blocks[-1].windows, found.box, colors='white', linewidths=0.6)
    left.plot(*found.at, '+', color=MARK, markersize=12, markeredgewidth=2)
    of_query = [block.weights * block.keys for block in found.blocks]
    of_all = [block.received * block.keys for block in found.blocks]
    x0, y0, x1, y1 = found.box
    across, down = (x1 - x0) / width, (y1 - y0) / height
    for row, block in enumerate(found.blocks):
        named = f'block {block.block}, {"local" if block.kind == "local" else "global"}'
        panels = [(of_query, WHO[block.kind]), (of_all, 'attention received')]
        for column, (maps, what) in enumerate(panels, start=1):
            axes = figure.add_subplot(grid[row, column])
            title = f'{named}:\n{what}'
            draw_map(axes, view, maps[row], found.box, title, choose_limits(*maps), 'times an even share')
            draw_borders(axes, block.windows, found.box, colors='white', linewidths=0.5, alpha=0.8)
            if maps is of_query:
                for r, c in zip(*block.asking.nonzero(), strict=True):
                    token = x0 + c * across, y0 + r * down, x0 + (c + 1) * across, y0 + (r + 1) * down
                    draw_box(axes, token, linewidth=1.2)
    return figure
