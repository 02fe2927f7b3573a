"""A picture of :mod:`.queries`: a row for each stage."""

from typing import TYPE_CHECKING

import numpy as np

from .drawing import HEAT, draw_image, extent, frame, height_for, new_figure
from .queries import Queries, StageQuery
from .views import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 3.0


def draw_queries(found: Queries) -> 'Figure':
    """Draw each stage's global query as maps in the shape of the image: lengths, principal components, heads."""
    view, rows = found.view, len(found.stages)
    high = height_for(view, PANEL)
    figure = new_figure(4 * PANEL + 1.4, rows * (high + 0.55) + 0.6)
    figure.suptitle(
        f'{found.network}: global query tokens, the whole image reduced to one window and asked of every window',
        fontsize=11,
    )
    grid = figure.add_gridspec(rows, 4)
    draw_image(figure.add_subplot(grid[0, 0]), view, 'image')
    for row, stage in enumerate(found.stages):
        heads, height, width, _ = stage.query.shape
        lengths = np.sqrt((stage.norms**2).sum(0))
        title = f'stage {stage.stage}, {height} x {width} tokens:\nlength of the query'
        panel(figure.add_subplot(grid[row, 1]), view, lengths, title)
        axes = figure.add_subplot(grid[row, 2])
        axes.imshow(stage.components, extent=extent(view.box), interpolation='nearest')
        axes.set_title(f'first three principal components\nas red, green, blue: {shares(stage)}', fontsize=9)
        frame(axes, view)
        axes = figure.add_subplot(grid[row, 3])
        montage(axes, view, stage.norms, f'length in each of {heads} heads' if heads > 1 else 'length in its one head')
    return figure


def shares(stage: StageQuery) -> str:
    """How much of the variance the components have."""
    if not stage.explained.any():
        return 'all tokens alike'
    return ', '.join(f'{100 * share:.0f} %' for share in stage.explained) + ' of variance'


def panel(axes: 'Axes', view: View, values: np.ndarray, title: str) -> None:
    """A map in the place of what the network sees, with a colour bar."""
    drawn = axes.imshow(values, extent=extent(view.box), cmap=HEAT, interpolation='nearest')
    axes.figure.colorbar(drawn, ax=axes, shrink=0.85).ax.tick_params(labelsize=7)
    axes.set_title(title, fontsize=9)
    frame(axes, view)


def montage(axes: 'Axes', view: View, maps: np.ndarray, title: str) -> None:
    """Maps (n, h, w) side by side on one scale, numbered row by row from 0, each in the shape of what is seen."""
    columns = int(np.ceil(np.sqrt(len(maps))))
    rows = -(-len(maps) // columns)
    aspect = view.seen[0] / view.seen[1]
    least, most = maps.min(), maps.max()
    gap = 0.06
    for number, values in enumerate(maps):
        row, column = divmod(number, columns)
        left, top = column * (1 + gap), row * (aspect + gap)
        drawn = axes.imshow(
            values,
            extent=extent((left, top, left + 1, top + aspect)),
            cmap=HEAT,
            vmin=least,
            vmax=most,
            interpolation='nearest',
        )
        label = {'facecolor': 'black', 'alpha': 0.6, 'pad': 0.7, 'edgecolor': 'none'}
        axes.text(left + 0.04, top + 0.06, str(number), color='white', fontsize=6, va='top', bbox=label)
    axes.set_xlim(0, columns * (1 + gap) - gap)
    axes.set_ylim(rows * (aspect + gap) - gap, 0)
    axes.set_aspect('equal')
    axes.axis('off')
    axes.figure.colorbar(drawn, ax=axes, shrink=0.85).ax.tick_params(labelsize=7)
    axes.set_title(title, fontsize=9)
