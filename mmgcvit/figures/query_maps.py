"""Compute and draw the global query of each stage of GC ViT.

Each stage reduces its feature map to the size of one window. The resulting tokens are the queries of all windows.

Shapes: h x w window, C channels, nH heads, d = C/nH.
"""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from ..errors import UserError
from ..inference.inputs import ImageLike
from ..inference.predictor import Predictor
from .networks import View, get_backbone, prepare_view, record_inputs
from .panels import CMAP, draw_image, get_extent, make_figure, set_frame


@dataclass(frozen=True)
class Queries:
    """The global queries that a network computes for an image."""

    view: View
    by_stage: dict[int, np.ndarray]  # (nH, h, w, d) by index of the stage, for the stages that have a global query


@torch.no_grad()
def compute_queries(model: Predictor, image: ImageLike) -> Queries:
    """Compute the global query of each stage. The arguments are those of :func:`.compute_attention`."""
    backbone = get_backbone(model)
    # Local and global blocks alternate, and the first one is local. So a stage with one block uses no global query.
    stages_with_query = {
        i: stage for i, stage in enumerate(backbone.stages) if hasattr(stage, 'global_query') and len(stage.blocks) > 1
    }
    view = prepare_view(model, image)
    recorded = record_inputs(backbone, view.inputs, [stage.global_query for stage in stages_with_query.values()])
    queries = {}
    for (i, stage), (x,) in zip(stages_with_query.items(), recorded, strict=True):
        q_global = stage.global_query(x)
        # The ablation variants without a global query return an empty tensor.
        if q_global.shape[2]:
            queries[i] = q_global[0].unflatten(1, stage.window_size).float().cpu().numpy()
    if not queries:
        raise UserError(f'{type(backbone).__name__} has no global query. Use a model with a GC ViT backbone')
    return Queries(view, queries)


def find_components(tokens: np.ndarray) -> np.ndarray:
    """Compute the first three principal components (h, w, 3) of tokens (h, w, C), from 0 to 1; without variance 0.5."""
    flat = tokens.reshape(-1, tokens.shape[-1]).astype(np.float64)
    left_vectors, singular_values, _ = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    values = np.zeros((len(flat), 3))
    values[:, : len(singular_values)] = (left_vectors * singular_values)[:, :3]
    span = np.ptp(values, axis=0)
    has_variance = span > 1e-6 * np.abs(flat).max()
    scaled = np.where(has_variance, (values - values.min(0)) / np.where(has_variance, span, 1), 0.5)
    return scaled.reshape(*tokens.shape[:2], 3)


def draw_queries(result: Queries) -> Figure:
    """Draw the image and, for each stage, norms and principal components of its global query, as large as the image."""
    view, rows = result.view, len(result.by_stage)
    title = 'global query: the whole image, reduced to one window'
    figure = make_figure(view, title, rows, columns=3, width=3.0)
    grid = figure.add_gridspec(rows, 3)
    draw_image(figure.add_subplot(grid[0, 0]), view, 'image')
    style = {'extent': get_extent(view.box), 'interpolation': 'nearest'}
    for row, (stage, query) in enumerate(result.by_stage.items()):
        height, width = query.shape[1:3]
        axes = figure.add_subplot(grid[row, 1])
        drawn = axes.imshow(np.linalg.norm(query, axis=(0, 3)), cmap=CMAP, **style)
        figure.colorbar(drawn, ax=axes, shrink=0.85).ax.tick_params(labelsize=10)
        set_frame(axes, view, f'stage {stage}, {height} x {width} tokens:\nnorm of the query')
        axes = figure.add_subplot(grid[row, 2])
        axes.imshow(find_components(np.moveaxis(query, 0, 2).reshape(height, width, -1)), **style)
        set_frame(axes, view, 'first three principal components\nas red, green, blue')
    return figure
