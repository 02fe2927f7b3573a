"""A picture of :mod:`.attention`: local and global attention one below the other, on the same scales."""

from typing import TYPE_CHECKING

from .attention import Attention, BlockAttention
from .drawing import MARK, draw_borders, draw_image, draw_map, height_for, limits_of, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL = 3.7
UNIT = 'times an even share'
WHO = {
    'local': "the token's attention to its own window",
    'global': 'the global token at this place, in every window',
    'all': "the token's attention to all tokens",
}


def draw_attention(found: Attention) -> 'Figure':
    """Draw the image with the query's place, and for each block what the query attends to and what all queries do.

    Attention is drawn as a multiple of the share that each key would have if all had the same.
    """
    view, rows = found.view, len(found.blocks)
    high = height_for(view, PANEL)
    figure = new_figure(3 * PANEL + 1.6, rows * (high + 0.5) + 0.6)
    heads = 'mean of all heads' if found.head is None else f'head {found.head}'
    figure.suptitle(f'{found.network}, stage {found.stage}, {heads}', fontsize=11)
    grid = figure.add_gridspec(rows, 3)
    left = figure.add_subplot(grid[:, 0])
    size = ' x '.join(map(str, found.blocks[0].weights.shape))
    draw_image(left, view, f'image; the query at {found.at[0]:.0f}, {found.at[1]:.0f}; {size} tokens')
    draw_borders(left, found.blocks[-1].windows, found.box, colors='white', linewidths=0.6)
    left.plot(*found.at, '+', color=MARK, markersize=12, markeredgewidth=2)
    of_query = [block.weights * block.keys for block in found.blocks]
    of_all = [block.received * block.keys for block in found.blocks]
    for row, (block, weights, received) in enumerate(zip(found.blocks, of_query, of_all, strict=True)):
        named = f'block {block.block}, {in_words(block)}'
        panels = [
            (weights, WHO[block.kind], limits_of(*of_query)),
            (received, 'attention received', limits_of(*of_all)),
        ]
        for column, (values, what, limits) in enumerate(panels, start=1):
            axes = figure.add_subplot(grid[row, column])
            draw_map(axes, view, values, found.box, f'{named}:\n{what}', limits, UNIT)
            draw_borders(axes, block.windows, found.box, colors='white', linewidths=0.5, alpha=0.8)
            if column == 1:
                mark_queries(axes, found, block)
    return figure


def in_words(block: BlockAttention) -> str:
    """What kind of attention a block has."""
    return {'local': 'local', 'global': 'global', 'all': 'global'}[block.kind]


def mark_queries(axes: object, found: Attention, block: BlockAttention) -> None:
    """A frame around each token at whose place the query is."""
    from matplotlib.patches import Rectangle

    left, top, right, bottom = found.box
    rows, columns = block.asking.shape
    width, height = (right - left) / columns, (bottom - top) / rows
    for row, column in zip(*block.asking.nonzero(), strict=True):
        corner = left + column * width, top + row * height
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=MARK, linewidth=1.2))
