"""LSA's attention to shifted copies of the image: which copy each patch attends to, computed and drawn.

Shapes: h x w patches, nH heads, T shifts.
"""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb, to_rgb
from matplotlib.figure import Figure

from ..errors import UserError
from ..inference import Predictor
from ..inference.images import ImageLike
from .drawing import (
    MARK,
    choose_limits,
    draw_dimmed,
    draw_frame,
    draw_image,
    draw_map,
    get_extent,
    get_height,
    make_figure,
)
from .networks import Box, View, check_number, get_backbone, prepare_view, record_inputs

PANEL = 3.7
# Patches a side in the magnified part.
MAGNIFIED = 3
UNSHIFTED = '#d0d0d0'


@dataclass(frozen=True)
class Shifts:
    """How the first block of LSA attends to shifted copies of an image.

    A shift is (dy, dx) in pixels of the network's input: how far the copy's content moves down and to the right. So a
    patch of the copy shows what lies as far up and to the left in the image.
    """

    view: View
    shifts: tuple[tuple[int, int], ...]  # T of them
    stride: int  # pixels between two patches
    kernel_size: int  # side of a patch in pixels
    head: int | None  # None is the mean of all
    weights: np.ndarray  # (h, w, T), how much each patch attends to each of its copies; they sum to 1
    preferred: np.ndarray  # (h, w), the number of the shift with the largest weight

    @property
    def box(self) -> Box:
        """What the patches cover: left, top, right, bottom in pixels of the image."""
        rows, columns = self.preferred.shape
        return self.view.in_image((0, 0, columns * self.stride, rows * self.stride))

    @property
    def counts(self) -> np.ndarray:
        """How many patches prefer each shift: (T,)."""
        return np.bincount(self.preferred.ravel(), minlength=len(self.shifts))


def shifts(model: Predictor, image: ImageLike, head: int | None = None) -> Shifts:
    """Compute how LSA's first block attends to the shifted copies of an image; arguments as for :func:`attention`."""
    backbone = get_backbone(model)
    attn, stem = backbone.stages[0].blocks[0].attn, backbone.stem
    if not hasattr(stem, 'shifts'):
        raise UserError(f'this {type(backbone).__name__} has no shifted copies of the image, which only LSA has')
    check_number('head', head, attn.num_heads, ' in stage 0')
    view = prepare_view(model, image)
    ((copies,),) = record_inputs(backbone, view.inputs, [attn])
    with torch.no_grad():
        weights = attn.attention_weights(copies)[0].float()
    weights = (weights.mean(-2) if head is None else weights[..., head, :]).cpu().numpy()
    return Shifts(view, stem.shifts, stem.stride, stem.kernel_size, head, weights, weights.argmax(-1))


def draw_shifts(found: Shifts) -> Figure:
    """Draw where the copies' patches lie (magnified), which copy each patch prefers, how much, and how many do."""
    view = found.view
    high = max(get_height(view, PANEL), 3.0)
    heads = 'mean of all heads' if found.head is None else f'head {found.head}'
    title = f'LSA, first block, {heads}: attention of each patch to its {len(found.shifts)} shifted copies'
    figure = make_figure(title, 3 * PANEL + 2.6, 2 * (high + 0.5) + 0.6)
    grid = figure.add_gridspec(2, 3)
    colours = choose_colours(found)
    rows, columns = found.preferred.shape
    axes = figure.add_subplot(grid[0, 0])
    draw_image(axes, view, f'image; {rows} x {columns} patches of {found.kernel_size} px')
    # Some patches in the middle of what is seen: left, top, right, bottom.
    top, left = (max((count - MAGNIFIED) // 2, 0) * found.stride for count in (rows, columns))
    margin = max(abs(step) for shift in found.shifts for step in shift) + 1
    far = MAGNIFIED * found.stride + margin
    part = np.array(view.in_image((left - margin, top - margin, left + far, top + far)))
    axes.plot(part[[0, 2, 2, 0, 0]], part[[1, 1, 3, 3, 1]], color=MARK, linewidth=1.2)
    draw_grids(figure.add_subplot(grid[1, 0]), found, part, colours)
    axes = figure.add_subplot(grid[0, 1])
    draw_dimmed(axes, view)
    axes.imshow(colours[found.preferred], extent=get_extent(found.box), interpolation='nearest', alpha=0.72)
    draw_frame(axes, view, 'the copy that each patch attends to most')
    strongest = found.weights.max(-1) * len(found.shifts)
    axes = figure.add_subplot(grid[1, 1])
    title = 'weight of the copy attended to most'
    draw_map(axes, view, strongest, found.box, title, choose_limits(strongest), 'times an even share')
    draw_legend(figure.add_subplot(grid[:, 2]), found, colours)
    return figure


def choose_colours(found: Shifts) -> np.ndarray:
    """A colour for each shift: its hue is the direction, its strength the distance; grey for the unshifted copy."""
    steps = np.array(found.shifts, float)
    lengths = np.hypot(*steps.T)
    hue = np.arctan2(steps[:, 0], steps[:, 1]) / (2 * np.pi) % 1
    near = lengths / max(lengths.max(), 1e-9)
    colours = hsv_to_rgb(np.stack([hue, 0.35 + 0.65 * near, 1.05 - 0.35 * near], 1).clip(0, 1))
    colours[lengths == 0] = to_rgb(UNSHIFTED)
    return colours


def draw_grids(axes: Axes, found: Shifts, part: np.ndarray, colours: np.ndarray) -> None:
    """The patches of each copy where their content lies in the image: a shift down shows what lies above."""
    draw_dimmed(axes, found.view)
    rows, columns = found.preferred.shape
    (down, across), (top, left) = found.view.scale, found.view.offset
    for number in reversed(range(len(found.shifts))):
        dy, dx = found.shifts[number]
        x = (np.arange(columns + 1) * found.stride - dx) * across + left
        y = (np.arange(rows + 1) * found.stride - dy) * down + top
        width, order = (2.6, 3) if (dy, dx) == (0, 0) else (1.2, 2)
        style = {'colors': [colours[number]], 'linewidths': width, 'zorder': order}
        axes.hlines(y, x[0], x[-1], **style)
        axes.vlines(x, y[0], y[-1], **style)
    title = 'the framed part: patches of the image (thick, grey)\nand of its shifted copies, in their colours'
    draw_frame(axes, found.view, title)
    axes.set_xlim(part[0], part[2])
    axes.set_ylim(part[3], part[1])


def draw_legend(axes: Axes, found: Shifts, colours: np.ndarray) -> None:
    """What the colours mean, with how many patches prefer each copy."""
    names = [f'{dy:+d}, {dx:+d}' if dy or dx else 'unshifted' for dy, dx in found.shifts]
    shares = 100 * found.counts / found.counts.sum()
    places = np.arange(len(names))
    most = max(shares.max(), 1)
    axes.barh(places, shares, color=colours, edgecolor='black', linewidth=0.4)
    axes.set_yticks(places, names, fontsize=8)
    # The colours are also shown beside bars of length 0.
    for label, colour in zip(axes.get_yticklabels(), colours, strict=True):
        label.set_bbox({'facecolor': colour, 'edgecolor': 'black', 'linewidth': 0.4, 'pad': 2})
    axes.tick_params(axis='y', length=0, pad=6)
    axes.set_xlim(0, 1.05 * most)
    axes.invert_yaxis()
    axes.tick_params(axis='x', labelsize=7)
    axes.set_xlabel('% of patches that prefer it', fontsize=8)
    axes.set_title('legend: moved by dy, dx (px of the network)', fontsize=9)
