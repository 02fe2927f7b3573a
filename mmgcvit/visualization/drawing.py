"""Draw images, maps over them with a colour bar, and boxes; save figures."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..errors import UserError
from ..files import atomic_write
from .networks import Box, View

DOTS_PER_INCH = 110
# Red, green and blue in grey (ITU-R BT.601), and how dark the image is made beneath a map.
LUMA, DIMMED = (0.299, 0.587, 0.114), 0.8
HEAT = 'inferno'
MARK = '#00e5ff'


def save(figure: Figure, file: Path) -> None:
    """Write a figure of matplotlib's; a UserError if the file cannot be written."""
    check_ending(file)
    try:
        with atomic_write(file, flush=False) as unfinished:
            figure.savefig(unfinished, format=file.suffix[1:].lower(), dpi=DOTS_PER_INCH)
    except OSError as error:
        raise UserError(f'{file} cannot be written ({error.strerror or error}); name another file') from None


def check_ending(file: Path) -> None:
    """Reject a file whose suffix is not that of a picture format."""
    if file.suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
        raise UserError(f'{file}: pictures are written as .png, .pdf, .svg or .jpg')


def make_figure(title: str, width: float, height: float) -> Figure:
    """An empty figure of a width and height in inches, with a title."""
    figure = Figure(figsize=(width, height), layout='constrained')
    figure.suptitle(title, fontsize=11)
    return figure


def get_extent(box: Box) -> Box:
    """A box in the order of matplotlib's ``extent``."""
    left, top, right, bottom = box
    return left, right, bottom, top


def get_height(view: View, width: float) -> float:
    """The height of a panel with an image, for its width."""
    rows, columns = view.image.shape[:2]
    return float(np.clip(width * rows / columns, width / 3, width * 2))


def draw_frame(axes: Axes, view: View, title: str) -> None:
    """Limit axes to the image, in pixels, and set a title."""
    rows, columns = view.image.shape[:2]
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_aspect('equal')
    axes.tick_params(labelsize=7)
    axes.set_title(title, fontsize=9)


def draw_image(axes: Axes, view: View, title: str) -> None:
    """Draw the image; a dashed frame shows the part that the network sees."""
    rows, columns = view.image.shape[:2]
    axes.imshow(view.image, extent=get_extent((0, 0, columns, rows)), interpolation='nearest')
    left, top, right, bottom = view.box
    if (left, top) != (0, 0) or (right, bottom) != (columns, rows):
        axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], '--', color=MARK, linewidth=1)
    draw_frame(axes, view, title)


def draw_dimmed(axes: Axes, view: View) -> None:
    """Draw the image in dark grey, as a background."""
    rows, columns = view.image.shape[:2]
    grey = view.image @ np.array(LUMA) * DIMMED
    axes.imshow(grey, extent=get_extent((0, 0, columns, rows)), cmap='gray', vmin=0, vmax=255, interpolation='nearest')


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
    """Draw a map (rows, columns) that covers a box over the image in grey, with a colour bar; NaN is transparent."""
    draw_dimmed(axes, view)
    masked = np.ma.masked_invalid(values)
    style = {'cmap': HEAT, 'alpha': 0.72, 'interpolation': 'nearest', **style}
    drawn = axes.imshow(masked, extent=get_extent(box), vmin=limits[0], vmax=limits[1], **style)
    bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.85, extend='both')
    bar.set_label(unit, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    draw_frame(axes, view, title)


def choose_limits(*maps: np.ndarray) -> tuple[float, float]:
    """Colour limits for maps on one scale: quantiles, so that few outliers do not hide the rest."""
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
    """Draw lines between the regions of a map (rows, columns) of numbers that covers a box."""
    rows, columns = regions.shape
    x, y = np.linspace(box[0], box[2], columns + 1), np.linspace(box[1], box[3], rows + 1)
    # Around the map too: what is outside of it is of another region.
    padded = np.pad(regions.astype(float), 1, constant_values=-1)
    across = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    down = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])
    lines = [((x[c], y[r]), (x[c], y[r + 1])) for r, c in across] + [((x[c], y[r]), (x[c + 1], y[r])) for r, c in down]
    axes.add_collection(LineCollection(lines, **style))
