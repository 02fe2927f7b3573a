"""The global query of each stage as maps, computed and drawn.

Shapes: h x w window, N = h*w tokens of a window, C channels, nH heads, d = C/nH.
"""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import UserError
from ..inference import Predictor
from ..inference.images import ImageLike
from .drawing import HEAT, draw_frame, draw_image, get_extent, get_height, make_figure
from .networks import View, get_backbone, prepare_view, record_inputs

COMPONENTS = 3
PANEL = 3.0


@dataclass(frozen=True)
class StageQuery:
    """The global query of a stage, and what is drawn of it."""

    stage: int
    query: np.ndarray  # (nH, h, w, d)
    norms: np.ndarray  # (nH, h, w), lengths of each head's vectors
    components: np.ndarray  # (h, w, 3), the first three principal components of the C channels, each from 0 to 1
    explained: np.ndarray  # (3,), the share of the tokens' variance that each of them has


@dataclass(frozen=True)
class Queries:
    """The global queries that a network makes of an image."""

    view: View
    network: str  # the backbone's class
    stages: list[StageQuery]  # those that have one


def queries(model: Predictor, image: ImageLike) -> Queries:
    """Compute the global query of each stage; arguments as for :func:`attention`."""
    backbone = get_backbone(model)
    # A stage of one block has no attention that uses its query.
    found = [
        (number, stage)
        for number, stage in enumerate(backbone.stages)
        if hasattr(stage, 'global_query') and len(stage.blocks) > 1
    ]
    view = prepare_view(model, image)
    heard = record_inputs(backbone, view.inputs, [stage.global_query for _, stage in found])
    with torch.no_grad():
        made = [(i, stage.window, stage.global_query(x)) for (i, stage), (x,) in zip(found, heard, strict=True)]
    made = [(i, window, q) for i, window, q in made if q.shape[2]]
    if not made:
        raise UserError(f'{type(backbone).__name__} has no global query')
    stages = []
    for i, window, q in made:
        query = q[0].unflatten(1, window).float().cpu().numpy()
        components = find_components(np.moveaxis(query, 0, 2).reshape(*window, -1))
        stages.append(StageQuery(i, query, np.linalg.norm(query, axis=-1), *components))
    return Queries(view, type(backbone).__name__, stages)


def find_components(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first three principal components of a map (h, w, C), each scaled to 0 to 1, and their shares of the variance.

    A component's sign is arbitrary; it is chosen so that the largest value is positive. Components that do not exist,
    of few tokens or channels, are 0.5 everywhere.
    """
    flat = tokens.reshape(-1, tokens.shape[-1]).astype(np.float64)
    left, strengths, _ = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    total = (strengths**2).sum()
    components, explained = np.full((len(flat), COMPONENTS), 0.5), np.zeros(COMPONENTS)
    for i in range(min(COMPONENTS, len(strengths))):
        values = left[:, i] * strengths[i]
        if np.ptp(values) <= 1e-6 * max(np.abs(flat).max(), 1e-12):
            continue
        values = values if values.max() >= -values.min() else -values
        components[:, i] = (values - values.min()) / np.ptp(values)
        explained[i] = strengths[i] ** 2 / total
    return components.reshape(*tokens.shape[:2], COMPONENTS), explained


def draw_queries(found: Queries) -> Figure:
    """Draw each stage's global query as maps in the shape of the image: lengths, principal components, heads."""
    view, rows = found.view, len(found.stages)
    title = f'{found.network}: global query tokens, the whole image reduced to one window and asked of every window'
    figure = make_figure(title, 4 * PANEL + 1.4, rows * (get_height(view, PANEL) + 0.55) + 0.6)
    grid = figure.add_gridspec(rows, 4)
    draw_image(figure.add_subplot(grid[0, 0]), view, 'image')
    seen = {'extent': get_extent(view.box), 'interpolation': 'nearest'}
    for row, stage in enumerate(found.stages):
        height, width = stage.norms.shape[1:]
        axes = figure.add_subplot(grid[row, 1])
        drawn = axes.imshow(np.sqrt((stage.norms**2).sum(0)), cmap=HEAT, **seen)
        figure.colorbar(drawn, ax=axes, shrink=0.85).ax.tick_params(labelsize=7)
        draw_frame(axes, view, f'stage {stage.stage}, {height} x {width} tokens:\nlength of the query')
        axes = figure.add_subplot(grid[row, 2])
        axes.imshow(stage.components, **seen)
        shares = ', '.join(f'{100 * share:.0f} %' for share in stage.explained) + ' of variance'
        shares = shares if stage.explained.any() else 'all tokens alike'
        draw_frame(axes, view, f'first three principal components\nas red, green, blue: {shares}')
        draw_heads(figure.add_subplot(grid[row, 3]), view, stage.norms)
    return figure


def draw_heads(axes: Axes, view: View, maps: np.ndarray) -> None:
    """Draw maps (nH, h, w) side by side on one scale, in the order of the heads, each in the shape of what is seen."""
    columns = int(np.ceil(np.sqrt(len(maps))))
    rows = -(-len(maps) // columns)
    # A narrow frame of NaN, each token as 8 x 8, keeps the maps apart.
    tiles = np.full((rows * columns, maps.shape[1] * 8 + 2, maps.shape[2] * 8 + 2), np.nan)
    tiles[: len(maps), 1:-1, 1:-1] = maps.repeat(8, 1).repeat(8, 2)
    mosaic = tiles.reshape(rows, columns, *tiles.shape[1:]).swapaxes(1, 2).reshape(rows * tiles.shape[1], -1)
    aspect = view.seen[0] / view.seen[1] * mosaic.shape[1] / mosaic.shape[0] * rows / columns
    drawn = axes.imshow(mosaic, cmap=HEAT, interpolation='nearest', aspect=aspect)
    axes.axis('off')
    axes.figure.colorbar(drawn, ax=axes, shrink=0.85).ax.tick_params(labelsize=7)
    title = f'length in each of {len(maps)} heads, row by row' if len(maps) > 1 else 'length in its one head'
    axes.set_title(title, fontsize=9)
