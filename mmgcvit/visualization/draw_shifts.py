"""A picture of :mod:`.shifts`: the shifted grids, and the shift that each patch prefers."""

from typing import TYPE_CHECKING

import numpy as np

from .drawing import MARK, draw_dimmed, draw_image, draw_map, extent, frame, height_for, limits_of, new_figure
from .shifts import Shifts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 3.7
# Patches a side in the magnified part.
MAGNIFIED = 3
UNSHIFTED = '#d0d0d0'
# Room for a colour between its name and its bar, in points.
SWATCH = 11


def draw_shifts(found: Shifts) -> 'Figure':
    """Draw where the copies' patches lie (magnified), which copy each patch prefers, how much, and how many do."""
    view = found.view
    high = max(height_for(view, PANEL), 3.0)
    figure = new_figure(3 * PANEL + 2.6, 2 * (high + 0.5) + 0.6)
    heads = 'mean of all heads' if found.head is None else f'head {found.head}'
    figure.suptitle(
        f'LSA, first block, {heads}: attention of each patch to its {len(found.shifts)} shifted copies', fontsize=11
    )
    grid = figure.add_gridspec(2, 3)
    colours = colours_of(found)
    rows, columns = found.preferred.shape
    axes = figure.add_subplot(grid[0, 0])
    draw_image(axes, view, f'image; {rows} x {columns} patches of {found.kernel_size} px')
    part = magnified_part(found)
    axes.plot(part[[0, 2, 2, 0, 0]], part[[1, 1, 3, 3, 1]], color=MARK, linewidth=1.2)
    draw_grids(figure.add_subplot(grid[1, 0]), found, part, colours)
    draw_preferred(figure.add_subplot(grid[0, 1]), found, colours)
    strongest = found.weights.max(-1) * len(found.shifts)
    axes = figure.add_subplot(grid[1, 1])
    title = 'weight of the copy attended to most'
    draw_map(axes, view, strongest, found.box, title, limits_of(strongest), 'times an even share')
    draw_legend(figure.add_subplot(grid[:, 2]), found, colours)
    return figure


def colours_of(found: Shifts) -> np.ndarray:
    """A colour for each shift: its hue is the direction, its strength the distance; grey for the unshifted copy."""
    from matplotlib.colors import hsv_to_rgb, to_rgb

    steps = np.array(found.shifts, float)
    lengths = np.hypot(*steps.T)
    hue = np.arctan2(steps[:, 0], steps[:, 1]) / (2 * np.pi) % 1
    near = lengths / max(lengths.max(), 1e-9)
    colours = hsv_to_rgb(np.stack([hue, 0.35 + 0.65 * near, 1.05 - 0.35 * near], 1).clip(0, 1))
    colours[lengths == 0] = to_rgb(UNSHIFTED)
    return colours


def names_of(found: Shifts) -> list[str]:
    """How shifts are called: dy, dx."""
    return [f'{dy:+d}, {dx:+d}' if dy or dx else 'unshifted' for dy, dx in found.shifts]


def magnified_part(found: Shifts) -> np.ndarray:
    """Some patches in the middle of what is seen, as left, top, right, bottom in pixels of the image."""
    rows, columns = found.preferred.shape
    top, left = (max((count - MAGNIFIED) // 2, 0) * found.stride for count in (rows, columns))
    side = MAGNIFIED * found.stride
    margin = max(abs(step) for shift in found.shifts for step in shift) + 1
    return np.array(found.view.in_image((left - margin, top - margin, left + side + margin, top + side + margin)))


def draw_grids(axes: 'Axes', found: Shifts, part: np.ndarray, colours: np.ndarray) -> None:
    """The patches of each copy where their content lies in the image: a shift down shows what lies above."""
    from matplotlib.collections import LineCollection

    draw_dimmed(axes, found.view)
    rows, columns = found.preferred.shape
    for number in reversed(range(len(found.shifts))):
        dy, dx = found.shifts[number]
        lines = []
        for row in range(rows + 1):
            y = row * found.stride - dy
            lines.append([(-dx, y), (columns * found.stride - dx, y)])
        for column in range(columns + 1):
            x = column * found.stride - dx
            lines.append([(x, -dy), (x, rows * found.stride - dy)])
        placed = [found.view.in_image((*begin, *end)) for begin, end in lines]
        is_first = (dy, dx) == (0, 0)
        axes.add_collection(
            LineCollection(
                [[line[:2], line[2:]] for line in placed],
                colors=[colours[number]],
                linewidths=2.6 if is_first else 1.2,
                zorder=3 if is_first else 2,
            )
        )
    frame(axes, found.view)
    axes.set_xlim(part[0], part[2])
    axes.set_ylim(part[3], part[1])
    axes.set_title(
        'the framed part: patches of the image (thick, grey)\nand of its shifted copies, in their colours', fontsize=9
    )


def draw_preferred(axes: 'Axes', found: Shifts, colours: np.ndarray) -> None:
    """Each patch in the colour of the copy with the largest weight."""
    draw_dimmed(axes, found.view)
    axes.imshow(colours[found.preferred], extent=extent(found.box), interpolation='nearest', alpha=0.72)
    frame(axes, found.view)
    axes.set_title('the copy that each patch attends to most', fontsize=9)


def draw_legend(axes: 'Axes', found: Shifts, colours: np.ndarray) -> None:
    """What the colours mean, with how many patches prefer each copy."""
    from matplotlib.transforms import offset_copy

    names, shares = names_of(found), 100 * found.counts / found.counts.sum()
    places = np.arange(len(names))
    most = max(shares.max(), 1)
    axes.barh(places, shares, color=colours, edgecolor='black', linewidth=0.4)
    # All have some colour to be known by, those without patches too; apart from the bars, whose lengths count.
    beside = offset_copy(axes.get_yaxis_transform(), axes.figure, x=-SWATCH, units='points')
    swatches = {'marker': 's', 's': (0.7 * SWATCH) ** 2, 'edgecolors': 'black', 'linewidths': 0.4}
    axes.scatter(np.zeros(len(names)), places, c=colours, transform=beside, clip_on=False, **swatches)
    axes.set_yticks(places, names, fontsize=8)
    axes.tick_params(axis='y', length=0, pad=1.8 * SWATCH)
    axes.set_xlim(0, 1.05 * most)
    axes.invert_yaxis()
    axes.tick_params(axis='x', labelsize=7)
    axes.set_xlabel('% of patches that prefer it', fontsize=8)
    axes.set_title('legend: moved by dy, dx (px of the network)', fontsize=9)
