"""Compute and draw to which shifted copies of the image each patch of LSA attends.

LSA's first block attends from each image patch to the patches at the same place in T shifted copies of the image.

Shapes: h x w patches, T shifts.
"""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure

from ..errors import UserError
from ..inference.inputs import ImageLike
from ..inference.predictor import Predictor
from .networks import Box, View, check_index, get_backbone, prepare_view, record_inputs
from .panels import ATTENTION_UNIT, draw_image, draw_map, get_extent, make_figure


@dataclass(frozen=True)
class Shifts:
    """The attention of LSA's first block to the shifted copies of an image."""

    view: View
    # T pairs (dy, dx): how far the content of a copy moves down and to the right, in pixels of the network's input.
    shifts: tuple[tuple[int, int], ...]
    kernel_size: int  # side of a patch, in pixels of the network's input
    head: int | None  # None: the mean of all heads
    box: Box  # the area that the patches cover, in pixels of the image
    weights: np.ndarray  # (h, w, T), attention weights of each patch, which sum to 1 over the T copies


def compute_shifts(model: Predictor, image: ImageLike, head: int | None = None) -> Shifts:
    """Compute the attention of LSA's first block to shifted copies. Arguments: see :func:`.compute_attention`."""
    backbone = get_backbone(model)
    attn, stem = backbone.stages[0].blocks[0].attn, backbone.stem
    if not hasattr(stem, 'shifts'):
        raise UserError(
            f'{type(backbone).__name__} has no shifted copies of the image. Use a model with an LSA backbone'
        )
    check_index('head', head, attn.num_heads, ' in stage 0')
    view = prepare_view(model, image)
    ((copies,),) = record_inputs(backbone, view.inputs, [attn])
    with torch.no_grad():
        weights = attn.compute_attention_weights(copies)[0].float()
    weights = (weights.mean(-2) if head is None else weights[..., head, :]).cpu().numpy()
    rows, columns = weights.shape[:2]
    box = view.to_image((0, 0, columns * stem.stride, rows * stem.stride))
    return Shifts(view, stem.shifts, stem.convs[0].kernel_size[0], head, box, weights)


def draw_shifts(result: Shifts) -> Figure:
    """Draw the image, the copy that each patch attends to most, this copy's weight, and how many patches prefer it."""
    view, rows, columns = result.view, *result.weights.shape[:2]
    heads = 'mean of all heads' if result.head is None else f'head {result.head}'
    title = f'LSA, first block, {heads}: attention of each patch to its {len(result.shifts)} shifted copies'
    figure = make_figure(view, title, rows=2, columns=2, width=3.7)
    grid = figure.subplots(2, 2)
    draw_image(grid[0, 0], view, f'image; {rows} x {columns} patches of {result.kernel_size} px')
    preferred = result.weights.argmax(-1)  # (h, w), for each patch the shift with the largest weight
    colours = colormaps['turbo'](np.linspace(0, 1, len(result.shifts)))
    draw_image(grid[0, 1], view, 'the copy that each patch attends to most', is_background=True)
    style = {'extent': get_extent(result.box), 'interpolation': 'nearest', 'alpha': 0.72}
    grid[0, 1].imshow(colours[preferred], **style)
    max_weights = result.weights.max(-1) * len(result.shifts)
    title = 'weight of the copy in the map above'
    draw_map(grid[1, 1], view, max_weights, result.box, title, ATTENTION_UNIT, vmin=1)
    names = [f'{dy:+d}, {dx:+d}' if dy or dx else 'unshifted' for dy, dx in result.shifts]
    shares = 100 * np.bincount(preferred.ravel(), minlength=len(names)) / preferred.size
    grid[1, 0].barh(names, shares, color=colours, edgecolor='black', linewidth=0.4)
    grid[1, 0].invert_yaxis()
    grid[1, 0].tick_params(labelsize=9)
    grid[1, 0].set_xlabel('% of patches that attend most to the copy', fontsize=11)
    grid[1, 0].set_title('shift dy, dx (px of the network input)', fontsize=12)
    return figure
