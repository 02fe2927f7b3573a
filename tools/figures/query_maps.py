"""Compute the global query of each GC ViT stage, and draw its norm and principal components.

Shapes: h x w window, C channels, nH heads, d = C/nH.
"""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from mmgcvit.errors import UserError
from mmgcvit.inference.inputs import ImageLike
from mmgcvit.inference.predictor import Predictor

from .views import View, prepare_view


@dataclass(frozen=True)
class Queries:
    """The global queries that a network computes for an image: the feature map of a stage, reduced
    to one window.
    """

    view: View
    # (nH, h, w, d) by index of the stage, for the stages that have a global query
    by_stage: dict[int, np.ndarray]


@torch.no_grad()
def compute_queries(model: Predictor, image: ImageLike) -> Queries:
    """Compute the global query of each stage.

    The arguments are those of :func:`.compute_attention`.
    """
    view = prepare_view(model, image)
    stages = {}
    for index, stage in enumerate(view.backbone.stages):
        # Local and global blocks alternate, and the first one is local. So a stage with one block
        # uses no global query.
        if hasattr(stage, 'global_query') and len(stage.blocks) > 1:
            stages[index] = stage
    recorded = view.record_inputs([stage.global_query for stage in stages.values()])
    queries = {}
    for (index, stage), (x,) in zip(stages.items(), recorded, strict=True):
        q_global = stage.global_query(x)
        # The ablation variants without a global query have nn.Identity instead.
        if q_global is not x:
            queries[index] = q_global[0].unflatten(1, stage.window_size).float().cpu().numpy()
    if not queries:
        raise UserError(
            f'{type(view.backbone).__name__} has no global query. Use a model with a GC ViT '
            'backbone'
        )
    return Queries(view, queries)


def find_components(tokens: np.ndarray) -> np.ndarray:
    """Compute the first three principal components (h, w, 3) of tokens (h, w, C), from 0 to 1;
    without variance 0.5.
    """
    height, width, channels = tokens.shape
    flat = tokens.reshape(-1, channels).astype(np.float64)
    left_vectors, singular_values, _ = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    components = (left_vectors * singular_values)[:, :3]
    span = np.ptp(components, axis=0)
    has_variance = span > 1e-6 * np.abs(flat).max()
    scaled = np.full((len(flat), 3), 0.5)
    varying = components[:, has_variance]
    scaled[:, np.flatnonzero(has_variance)] = (varying - varying.min(0)) / span[has_variance]
    return scaled.reshape(height, width, 3)


def draw_queries(result: Queries) -> Figure:
    """Draw the image and, for each stage, norms and principal components of its global query, as
    large as the image.
    """
    view, rows = result.view, len(result.by_stage)
    title = 'global query: the whole image, reduced to one window'
    figure = view.make_figure(title, rows, columns=3, width=3.0)
    grid = figure.add_gridspec(rows, 3)
    view.draw_image(figure.add_subplot(grid[0, 0]), 'image')
    for row, (stage, query) in enumerate(result.by_stage.items()):
        _, height, width, _ = query.shape
        axes = figure.add_subplot(grid[row, 1])
        title = f'stage {stage}, {height} x {width} tokens:\nnorm of the query'
        norm = np.linalg.norm(query, axis=(0, 3))
        figure.colorbar(view.draw_map(axes, norm, view.box, title), ax=axes, shrink=0.85)
        axes = figure.add_subplot(grid[row, 2])
        tokens = np.moveaxis(query, 0, 2).reshape(height, width, -1)
        title = 'first three principal components\nas red, green, blue'
        view.draw_map(axes, find_components(tokens), view.box, title)
    return figure
