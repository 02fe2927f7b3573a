"""Draw images with maps over them in matplotlib, and save figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from ..errors import UserError
from ..files import write_atomically

if TYPE_CHECKING:
    from .networks import Box, View

DOTS_PER_INCH = 110
# Weights of red, green and blue in a grey image (the luma of ITU-R BT.601), darkened so that a map over it stands out.
GREY = np.array((0.299, 0.587, 0.114)) * 0.8
CMAP = 'inferno'  # matplotlib's name of the colour map
MARK = '#00e5ff'  # colour of frames and marks on the image
ATTENTION_UNIT = 'attention (1 = uniform)'


def save(figure: Figure, file: Path) -> None:
    """Write a matplotlib figure in the format of the file's suffix. Raise a UserError if that fails."""
    check_ending(file)
    try:
        with write_atomically(file, flush=False) as unfinished:
            figure.savefig(unfinished, format=file.suffix[1:].lower(), dpi=DOTS_PER_INCH)
    except OSError as error:
        raise UserError(f'{file} cannot be written ({error.strerror or error}). Choose another file') from None


def check_ending(file: Path) -> None:
    """Raise a UserError if matplotlib cannot write files with this suffix."""
    if file.suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
        raise UserError(f'{file}: expected a name that ends in .png, .pdf, .svg or .jpg')


def make_figure(view: View, title: str, rows: int, columns: int, width: float) -> Figure:
    """Create a figure for ``rows`` x ``columns`` panels, each ``width`` inches wide and shaped like the image."""
    image_height, image_width = view.image.shape[:2]
    panel_height = float(np.clip(width * image_height / image_width, width / 3, width * 2))
    figure = Figure(figsize=(columns * width + 1.4, rows * (panel_height + 0.7) + 0.8), layout='constrained')
    figure.suptitle(title, fontsize=15)
    return figure


def show_map(axes: Axes, values: np.ndarray, box: Box, **style: Any) -> AxesImage:
    """Draw a map (rows, columns), or colours (rows, columns, 3), over a box in pixels of the image."""
    left, top, right, bottom = box
    return axes.imshow(values, **{'interpolation': 'nearest', **style}, extent=(left, right, bottom, top))


def set_frame(axes: Axes, view: View, title: str) -> None:
    """Set the title of axes, and their limits to those of the image in pixels."""
    rows, columns = view.image.shape[:2]
    axes.set(xlim=(0, columns), ylim=(rows, 0), aspect='equal')
    axes.tick_params(labelsize=9)
    axes.set_title(title, fontsize=12)


def draw_image(axes: Axes, view: View, title: str, is_background: bool = False) -> None:
    """Draw the image: if it is a background, in dark grey, else with a dashed frame around what the network sees."""
    rows, columns = view.image.shape[:2]
    image = view.image @ GREY if is_background else view.image
    style = {'cmap': 'gray', 'vmin': 0, 'vmax': 255, 'interpolation': 'nearest'}
    axes.imshow(image, extent=(0, columns, rows, 0), **style)
    set_frame(axes, view, title)
    if not is_background and not np.allclose(view.box, (0, 0, columns, rows)):
        draw_box(axes, view.box, linestyle='--')


def draw_map(axes: Axes, view: View, values: np.ndarray, box: Box, title: str, unit: str, **style: Any) -> None:
    """Draw a map (rows, columns) over ``box`` (in pixels of the image), with a colour bar. NaN is transparent."""
    draw_image(axes, view, title, is_background=True)
    mesh = show_map(axes, np.ma.masked_invalid(values), box, **{'cmap': CMAP, 'alpha': 0.72, **style})
    bar = axes.figure.colorbar(mesh, ax=axes, shrink=0.85, extend='both')
    bar.set_label(unit, fontsize=11)
    bar.ax.tick_params(labelsize=10)


def draw_box(axes: Axes, box: Box, **style: Any) -> None:
    """Draw the outline of a box."""
    left, top, right, bottom = box
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=MARK, **style))
