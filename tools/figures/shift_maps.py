"""Compute and draw LSA's attention to shifted copies of the image.

Shapes: h x w patches, T shifts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmgcvit.errors import UserError
from mmgcvit.predict.inputs import ImageLike
from mmgcvit.predict.predictor import Predictor

from .views import View, check_index, format_head, prepare_view


@dataclass(frozen=True)
class Shifts:
    """The attention of LSA's first block to the shifted copies of an image."""

    view: View
    # T pairs (dy, dx): how far the content of a copy moves down and to the right, in pixels of the
    # network's input.
    shifts: tuple[tuple[int, int], ...]
    head: int | None  # None: the mean of all heads
    # (h, w, T), attention weights of each patch, which sum to 1 over the T copies
    weights: NDArray[np.float32]


@torch.no_grad()
def compute_shifts(model: Predictor[Any], image: ImageLike, head: int | None = None) -> Shifts:
    """Compute the attention of LSA's first block to shifted copies.

    Arguments: see :func:`.compute_attention`.
    """
    view = prepare_view(model, image)
    backbone = view.backbone
    attn, stem = backbone.stages[0].blocks[0].attn, backbone.stem
    if getattr(stem, 'shifts', None) is None:
        raise UserError(
            f'{type(backbone).__name__} has no shifted copies. Use a model with an LSA backbone'
        )
    check_index('head', head, attn.num_heads, ' in stage 0')
    ((copies,),) = view.record_inputs([attn])
    weights = attn.compute_attention_weights(copies)[0].float()
    weights = weights.mean(-2) if head is None else weights[..., head, :]
    return Shifts(view, stem.shifts, head, weights.cpu().numpy())


def draw_shifts(result: Shifts) -> Figure:
    """Draw the image, the copy that each patch attends to most, this copy's weight, and how many
    patches prefer it.
    """
    view, num_shifts, stem = result.view, len(result.shifts), result.view.backbone.stem
    title = (
        f'LSA, first block, {format_head(result.head)}: attention of each patch to its '
        f'{num_shifts} shifted copies'
    )
    figure, axes = view.make_figure(title, [['image', 'preferred'], ['shares', 'weight']])
    rows, columns, _ = result.weights.shape
    patch_size = stem.convs[0].kernel_size[0]
    view.draw_image(axes['image'], f'{rows} x {columns} patches of {patch_size} px')
    # (h, w), for each patch the shift with the largest weight
    preferred = result.weights.argmax(-1)
    colours = colormaps['turbo'](np.linspace(0, 1, num_shifts))
    title = 'the copy that each patch attends to most'
    view.draw_map(axes['preferred'], colours[preferred], stem.stride, title, label='')
    max_weights = result.weights.max(-1) * num_shifts
    title = 'weight of the copy in the map above'
    view.draw_map(axes['weight'], max_weights, stem.stride, title, vmin=1)
    names = [f'{dy:+d}, {dx:+d}' if dy or dx else 'unshifted' for dy, dx in result.shifts]
    percent = 100 * np.bincount(preferred.ravel(), minlength=num_shifts) / preferred.size
    bars = axes['shares']
    bars.barh(names, percent, color=colours, edgecolor='black', linewidth=0.4)
    bars.invert_yaxis()
    bars.set(xlabel='% of patches that attend most to the copy', title='shift dy, dx (px)')
    return figure
