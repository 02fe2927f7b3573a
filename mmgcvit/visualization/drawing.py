"""What all pictures share: files, the image, and maps over it with a colour bar."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..errors import UserError
from ..files import written_whole
from .networks import Box, View

DOTS_PER_INCH = 110
# Red, green and blue in grey (ITU-R BT.601), and how dark the image is made beneath a map.
LUMA, DIMMED = (0.299, 0.587, 0.114), 0.8
HEAT = 'inferno'
MARK = '#00e5ff'


def save(figure: Figure, file: Path) -> None:
    """Write a figure of matplotlib's."""
    check_ending(file)
    try:
        with written_whole(file, flush=False) as unfinished:
            figure.savefig(unfinished, format=file.suffix[1:].lower(), dpi=DOTS_PER_INCH)
    except OSError as error:
        raise UserError(f'{file} cannot be written ({error.strerror or error}); name another file') from None


def check_ending(file: Path) -> None:
    """Refuse a file that is no picture by its name."""
    if file.suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
        raise UserError(f'{file}: pictures are written as .png, .pdf, .svg or .jpg')


def figure_of(title: str, width: float, height: float) -> Figure:
    """An empty figure of so many inches under a title."""
    figure = Figure(figsize=(width, height), layout='constrained')
    figure.suptitle(title, fontsize=11)
    return figure


def extent(box: Box) -> Box:
    """A box as matplotlib's images want it."""
    left, top, right, bottom = box
    return left, right, bottom, top


def height_for(view: View, width: float) -> float:
    """How high a panel of an image is that is so wide."""
    rows, columns = view.image.shape[:2]
    return float(np.clip(width * rows / columns, width / 3, width * 2))


def frame(axes: Axes, view: View, title: str) -> None:
    """Show the whole image and nothing else, in pixels, under a title."""
    rows, columns = view.image.shape[:2]
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_aspect('equal')
    axes.tick_params(labelsize=7)
    axes.set_title(title, fontsize=9)


def draw_image(axes: Axes, view: View, title: str) -> None:
    """The image as it is; what the network does not see of it stays outside of a dashed frame."""
    rows, columns = view.image.shape[:2]
    axes.imshow(view.image, extent=extent((0, 0, columns, rows)), interpolation='nearest')
    left, top, right, bottom = view.box
    if (left, top) != (0, 0) or (right, bottom) != (columns, rows):
        axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], '--', color=MARK, linewidth=1)
    frame(axes, view, title)


def draw_dimmed(axes: Axes, view: View) -> None:
    """The image in grey, to be drawn upon."""
    rows, columns = view.image.shape[:2]
    grey = view.image @ np.array(LUMA) * DIMMED
    axes.imshow(grey, extent=extent((0, 0, columns, rows)), cmap='gray', vmin=0, vmax=255, interpolation='nearest')


def draw_map(
    axes: Axes,
    view: View,
    values: np.ndarray,
    box: Box,
    title: str,
    limits: tuple[float, float],
    unit: str,
    **style: Any,
) -> None:
    """A map (rows, columns) that covers a box over the image in grey, nothing where it is nan, with a colour bar.

    Values beyond the limits are drawn in the darkest and the brightest colour.
    """
    draw_dimmed(axes, view)
    masked = np.ma.masked_invalid(values)
    style = {'cmap': HEAT, 'alpha': 0.72, 'interpolation': 'nearest', **style}
    drawn = axes.imshow(masked, extent=extent(box), vmin=limits[0], vmax=limits[1], **style)
    beyond = 'neither'
    if masked.count():
        slack = 1e-6 * max(map(abs, limits))
        below, above = masked.min() < limits[0] - slack, masked.max() > limits[1] + slack
        beyond = {(True, False): 'min', (False, True): 'max', (True, True): 'both'}.get((below, above), 'neither')
    bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.85, extend=beyond)
    bar.set_label(unit, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    frame(axes, view, title)


def limits_of(*maps: np.ndarray) -> tuple[float, float]:
    """The values for the darkest and the brightest colour of maps on one scale.

    Few tokens lie beyond them, so that the others can be told apart; equal values get the middle colour.
    """
    values = np.concatenate([each[np.isfinite(each)] for each in maps])
    low, high = (float(limit) for limit in np.quantile(values, (0.005, 0.995)))
    if high - low > 1e-6 * max(abs(high), 1e-6):
        return low, high
    half = max(abs(high), 1e-6) / 2
    return low - half, high + half


def draw_box(axes: Axes, box: Box, linewidth: float) -> None:
    left, top, right, bottom = box
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=MARK, linewidth=linewidth))


def draw_borders(axes: Axes, regions: np.ndarray, box: Box, **style: Any) -> None:
    """Lines where neighbouring tokens of a map (rows, columns) that covers a box are of different regions."""
    rows, columns = regions.shape
    x, y = np.linspace(box[0], box[2], columns + 1), np.linspace(box[1], box[3], rows + 1)
    # Around the map too: what is outside of it is of another region.
    padded = np.pad(regions.astype(float), 1, constant_values=-1)
    across = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    down = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])
    lines = [((x[c], y[r]), (x[c], y[r + 1])) for r, c in across] + [((x[c], y[r]), (x[c + 1], y[r])) for r, c in down]
    axes.add_collection(LineCollection(lines, **style))
