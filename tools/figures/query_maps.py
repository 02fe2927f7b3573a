"""Compute the global query of each GC ViT stage, and draw its norm and principal components.

Shapes: h x w window, C channels, nH heads, d = C/nH.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmgcvit.errors import UserError
from mmgcvit.models.gcvit.global_query import GlobalQueryGenerator
from mmgcvit.predict.inputs import ImageLike
from mmgcvit.predict.predictor import Predictor

from .views import CMAP, View, prepare_view


@dataclass(frozen=True)
class Queries:
    """The global queries that a network computes for an image: the feature map of a stage, reduced
    to one window.
    """

    view: View
    # (nH, h, w, d) by index of the stage, for the stages that have a global query
    by_stage: dict[int, NDArray[np.float32]]


@torch.no_grad()
def compute_queries(model: Predictor[Any], image: ImageLike) -> Queries:
    """Compute the global query of each stage.

    The arguments are those of :func:`.compute_attention`.
    """
    view = prepare_view(model, image)
    stages = {}
    for index, stage in enumerate(view.backbone.stages):
        generator = getattr(stage, 'global_query', None)
        # The first block of a stage is local, so a stage with one block uses no global query.
        if isinstance(generator, GlobalQueryGenerator) and len(stage.blocks) > 1:
            stages[index] = stage
    if not stages:
        raise UserError(
            f'{type(view.backbone).__name__} has no global query. Use a model with a GC ViT '
            'backbone'
        )
    inputs = view.record_inputs([stage.global_query for stage in stages.values()])
    queries = {}
    for (index, stage), (x,) in zip(stages.items(), inputs, strict=True):
        generator = stage.global_query
        q_global = generator(x)[0]  # (nH, h*w, d)
        queries[index] = q_global.unflatten(1, generator.window_size).float().cpu().numpy()
    return Queries(view, queries)


def find_components(tokens: NDArray[np.float32]) -> NDArray[np.float32]:
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
    """Draw the image and, for each stage, norms and principal components of its global query."""
    panels = [['image', f'norm {stage}', f'components {stage}'] for stage in result.by_stage]
    title = 'global query: the whole image, reduced to one window'
    figure, axes = result.view.make_figure(title, panels)
    result.view.draw_image(axes['image'], 'image')
    for stage, query in result.by_stage.items():
        _, height, width, _ = query.shape
        panel = axes[f'norm {stage}']
        drawn = panel.imshow(np.linalg.norm(query, axis=(0, 3)), cmap=CMAP)
        title = f'stage {stage}, {height} x {width} tokens:\nnorm of the query'
        panel.set(title=title, xticks=[], yticks=[])
        figure.colorbar(drawn, ax=panel, shrink=0.85)
        panel = axes[f'components {stage}']
        panel.imshow(find_components(np.moveaxis(query, 0, 2).reshape(height, width, -1)))
        title = 'first three principal components\nas red, green, blue'
        panel.set(title=title, xticks=[], yticks=[])
    return figure
