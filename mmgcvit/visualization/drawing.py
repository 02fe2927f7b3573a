"""What all pictures share: the figure, the image, maps over it with a colour bar, and the file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..inference import UserError
from .views import Box, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110
# Red, green and blue in grey (ITU-R BT.601), and how dark the image is made beneath a map.
LUMA, DIMMED = (0.299, 0.587, 0.114), 0.8
HEAT = 'inferno'
MARK = '#00e5ff'


def new_figure(width: float, height: float) -> 'Figure':
    """An empty figure of a size in inches, of no window system.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(
            "pictures are drawn by matplotlib, which is not installed: pip install 'mmgcvit[visualize]'"
        ) from None
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def save(figure: 'Figure', file: Path) -> None:
    """Write a figure.

    Raises:
        UserError: The file's ending is none of a picture, or it cannot be written.
    """
    check_ending(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=DOTS_PER_INCH)
    except OSError as error:
        raise UserError(f'{file} cannot be written: {error.strerror or error}') from None


def check_ending(file: Path) -> None:
    """Refuse a file that is no picture by its name.

    Raises:
        UserError: It is none.
    """
    kinds = new_figure(1, 1).canvas.get_supported_filetypes()
    if file.suffix[1:].lower() not in kinds:
        raise UserError(f'{file}: pictures are written as .png, .pdf, .svg or .jpg')


def extent(box: Box) -> Box:
    """A box (left, top, right, bottom) as matplotlib's images want it."""
    left, top, right, bottom = box
    return left, right, bottom, top


def height_for(view: View, width: float) -> float:
    """How high a panel of an image is that is so wide."""
    rows, columns = view.image.shape[:2]
    return float(np.clip(width * rows / columns, width / 3, width * 2))


def frame(axes: 'Axes', view: View) -> None:
    """Show the whole image and nothing else, in pixels."""
    rows, columns = view.image.shape[:2]
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_aspect('equal')
    axes.tick_params(labelsize=7)


def draw_image(axes: 'Axes', view: View, title: str) -> None:
    """The image as it is; what the network does not see of it stays outside of a dashed frame."""
    rows, columns = view.image.shape[:2]
    axes.imshow(view.image, extent=extent((0, 0, columns, rows)), interpolation='nearest')
    left, top, right, bottom = view.box
    if (left, top) != (0, 0) or (right, bottom) != (columns, rows):
        axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], '--', color=MARK, linewidth=1)
    axes.set_title(title, fontsize=9)
    frame(axes, view)


def draw_dimmed(axes: 'Axes', view: View) -> None:
    """The image in grey, to be drawn upon."""
    rows, columns = view.image.shape[:2]
    grey = view.image @ np.array(LUMA) * DIMMED
    axes.imshow(grey, extent=extent((0, 0, columns, rows)), cmap='gray', vmin=0, vmax=255, interpolation='nearest')


def draw_map(
    axes: 'Axes',
    view: View,
    values: np.ndarray,
    box: Box,
    title: str,
    limits: tuple[float, float],
    unit: str,
    cmap: 'str | Colormap' = HEAT,
    alpha: float = 0.72,
    interpolation: str = 'nearest',
) -> None:
    """A map over the image in grey, with a colour bar.

    Args:
        axes: Where.
        view: The image.
        values: (rows, columns); nan where nothing is drawn.
        box: What the map covers, in pixels of the image.
        title: Over it.
        limits: The values of the darkest and the brightest colour; others are drawn in these too.
        unit: Beside the colour bar.
        cmap: Of the colours.
        alpha: How little of the image is seen through them.
        interpolation: Between the map's places.
    """
    draw_dimmed(axes, view)
    masked = np.ma.masked_invalid(values)
    drawn = axes.imshow(
        masked, extent=extent(box), cmap=cmap, vmin=limits[0], vmax=limits[1], alpha=alpha, interpolation=interpolation
    )
    bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.85, extend=ends(masked, limits))
    bar.set_label(unit, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    axes.set_title(title, fontsize=9)
    frame(axes, view)


def ends(values: np.ma.MaskedArray, limits: tuple[float, float]) -> str:
    """At which ends of a colour bar values lie beyond it, in matplotlib's words."""
    if not values.count():
        return 'neither'
    slack = 1e-6 * max(map(abs, limits))
    below, above = values.min() < limits[0] - slack, values.max() > limits[1] + slack
    return {(False, False): 'neither', (True, False): 'min', (False, True): 'max', (True, True): 'both'}[below, above]


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


def draw_borders(axes: 'Axes', regions: np.ndarray, box: Box, **style: Any) -> None:
    """Lines where neighbouring tokens are of different regions.

    Args:
        axes: Where.
        regions: (rows, columns).
        box: What they cover, in pixels of the image.
        style: Of the lines.
    """
    from matplotlib.collections import LineCollection

    rows, columns = regions.shape
    x, y = np.linspace(box[0], box[2], columns + 1), np.linspace(box[1], box[3], rows + 1)
    # Around the map too: what is outside of it is of another region.
    padded = np.pad(regions.astype(float), 1, constant_values=-1)
    across = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    down = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])
    lines = [((x[c], y[r]), (x[c], y[r + 1])) for r, c in across] + [((x[c], y[r]), (x[c + 1], y[r])) for r, c in down]
    axes.add_collection(LineCollection(lines, **style))
