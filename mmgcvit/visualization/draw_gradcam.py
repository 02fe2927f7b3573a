"""A picture of :mod:`.gradcam`: the image with the box or region, and what speaks for the class."""

from typing import TYPE_CHECKING

import numpy as np

from .drawing import MARK, draw_image, draw_map, extent, height_for, new_figure
from .gradcam import GradCam

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 4.4


def draw_gradcam(found: GradCam) -> 'Figure':
    """Draw the image, and beside it the map over it."""
    view = found.view
    figure = new_figure(2 * PANEL + 1.2, height_for(view, PANEL) + 0.9)
    what = f'class {found.class_name}, ' + (
        f'{100 * found.score:.1f} % of the pixels' if found.region is not None else f'score {found.score:.2f}'
    )
    figure.suptitle(f'{found.method}, stage {found.stage}: what speaks for {what}', fontsize=11)
    left, right = figure.subplots(1, 2)
    draw_image(left, view, 'image')
    title = found.method if found.cam.any() else 'nothing speaks for it at this stage'
    draw_map(
        right,
        view,
        found.cam,
        view.box,
        title,
        (0.0, 1.0),
        'share of the strongest',
        cmap='turbo',
        alpha=0.55,
        interpolation='bilinear',
    )
    for axes in (left, right):
        mark(axes, found)
    return figure


def mark(axes: 'Axes', found: GradCam) -> None:
    """The box that is asked about, or the outline of the region."""
    if found.box is not None:
        from matplotlib.patches import Rectangle

        x0, y0, x1, y1 = found.box
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=MARK, linewidth=1.8))
    if found.region is not None and not found.region.all():
        rows, columns = found.view.inputs.shape[-2:]
        left, right, bottom, top = extent(found.view.in_image((0, 0, columns, rows)))
        height, width = found.region.shape
        x = left + (np.arange(width) + 0.5) * (right - left) / width
        y = top + (np.arange(height) + 0.5) * (bottom - top) / height
        axes.contour(x, y, found.region.astype(float), levels=[0.5], colors=[MARK], linewidths=1.2)
