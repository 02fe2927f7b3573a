"""Draw the global query of each GC ViT stage, LSA's attention to shifted copies of the image, and
Grad-CAM.

Shapes: h x w window, patches or the network's input without padding, h' x w' with padding, C
    channels, nH heads,
d = C/nH, T shifts.
"""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure

from ..errors import UserError, check_installed
from ..inference.inputs import ImageLike
from ..inference.predictor import Predictor
from .views import CMAP, Box, View, check_index, draw_map, prepare_view

# grad-cam divides a map by its maximum plus 1e-7. Gradients are scaled up, so that the 1e-7 does
# not change small maps.
GRADIENT_SCALE = 1e4


@dataclass(frozen=True)
class Queries:
    """The global queries that a network computes for an image: the feature map of a stage, reduced
    to one window.
    """

    view: View
    by_stage: dict[
        int, np.ndarray
    ]  # (nH, h, w, d) by index of the stage, for the stages that have a global query


@torch.no_grad()
def compute_queries(model: Predictor, image: ImageLike) -> Queries:
    """Compute the global query of each stage.

    The arguments are those of :func:`.compute_attention`.
    """
    view, queries = prepare_view(model, image), {}
    # Local and global blocks alternate, and the first one is local. So a stage with one block uses
    # no global query.
    stages = [
        (i, s)
        for i, s in enumerate(view.backbone.stages)
        if hasattr(s, 'global_query') and len(s.blocks) > 1
    ]
    recorded = view.record_inputs([stage.global_query for _, stage in stages])
    for (i, stage), (x,) in zip(stages, recorded, strict=True):
        q_global = stage.global_query(x)
        # The ablation variants without a global query return the map itself.
        if q_global is not x:
            queries[i] = q_global[0].unflatten(1, stage.window_size).float().cpu().numpy()
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
    flat = tokens.reshape(-1, tokens.shape[-1]).astype(np.float64)
    left_vectors, singular_values, _ = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    values = np.zeros((len(flat), 3))
    values[:, : len(singular_values)] = (left_vectors * singular_values)[:, :3]
    span = np.ptp(values, axis=0)
    has_variance = span > 1e-6 * np.abs(flat).max()
    scaled = np.where(has_variance, (values - values.min(0)) / np.where(has_variance, span, 1), 0.5)
    return scaled.reshape(*tokens.shape[:2], 3)


def draw_queries(result: Queries) -> Figure:
    """Draw the image and, for each stage, norms and principal components of its global query, as
    large as the image.
    """
    view, rows = result.view, len(result.by_stage)
    figure = view.make_figure(
        'global query: the whole image, reduced to one window', rows, columns=3, width=3.0
    )
    grid = figure.add_gridspec(rows, 3)
    view.draw_image(figure.add_subplot(grid[0, 0]), 'image')
    for row, (stage, query) in enumerate(result.by_stage.items()):
        height, width = query.shape[1:3]
        axes = figure.add_subplot(grid[row, 1])
        drawn = draw_map(axes, np.linalg.norm(query, axis=(0, 3)), view.box, cmap=CMAP)
        figure.colorbar(drawn, ax=axes, shrink=0.85)
        view.set_frame(axes, f'stage {stage}, {height} x {width} tokens:\nnorm of the query')
        axes = figure.add_subplot(grid[row, 2])
        draw_map(
            axes, find_components(np.moveaxis(query, 0, 2).reshape(height, width, -1)), view.box
        )
        view.set_frame(axes, 'first three principal components\nas red, green, blue')
    return figure


@dataclass(frozen=True)
class Shifts:
    """The attention of LSA's first block to the shifted copies of an image."""

    view: View
    # T pairs (dy, dx): how far the content of a copy moves down and to the right, in pixels of the
    # network's input.
    shifts: tuple[tuple[int, int], ...]
    head: int | None  # None: the mean of all heads
    box: Box  # the area that the patches cover, in pixels of the image
    weights: (
        np.ndarray
    )  # (h, w, T), attention weights of each patch, which sum to 1 over the T copies


def compute_shifts(model: Predictor, image: ImageLike, head: int | None = None) -> Shifts:
    """Compute the attention of LSA's first block to shifted copies.

    Arguments: see :func:`.compute_attention`.
    """
    view = prepare_view(model, image)
    backbone = view.backbone
    attn, stem = backbone.stages[0].blocks[0].attn, backbone.stem
    if getattr(stem, 'shifts', None) is None:
        raise UserError(
            f'{type(backbone).__name__} has no shifted copies. Use a model with an LSA backbone'
        )
    check_index('head', head, attn.num_heads, ' in stage 0')
    ((copies,),) = view.record_inputs([attn])
    with torch.no_grad():
        weights = attn.compute_attention_weights(copies)[0].float()
    weights = (weights.mean(-2) if head is None else weights[..., head, :]).cpu().numpy()
    rows, columns = weights.shape[:2]
    box = view.to_image((0, 0, columns * stem.stride, rows * stem.stride))
    return Shifts(view, stem.shifts, head, box, weights)


def draw_shifts(result: Shifts) -> Figure:
    """Draw the image, the copy that each patch attends to most, this copy's weight, and how many
    patches prefer it.
    """
    view, rows, columns = result.view, *result.weights.shape[:2]
    heads = 'mean of all heads' if result.head is None else f'head {result.head}'
    title = f'LSA, first block, {heads}: attention of each patch to its {len(result.shifts)} shifted copies'
    figure = view.make_figure(title, rows=2, columns=2, width=3.7)
    grid = figure.subplots(2, 2)
    view.draw_image(
        grid[0, 0],
        f'image; {rows} x {columns} patches of {view.backbone.stem.convs[0].kernel_size[0]} px',
    )
    preferred = result.weights.argmax(
        -1
    )  # (h, w), for each patch the shift with the largest weight
    colours = colormaps['turbo'](np.linspace(0, 1, len(result.shifts)))
    view.draw_image(grid[0, 1], 'the copy that each patch attends to most', is_background=True)
    draw_map(grid[0, 1], colours[preferred], result.box, alpha=0.72)
    max_weights = result.weights.max(-1) * len(result.shifts)
    view.overlay_map(
        grid[1, 1], max_weights, result.box, 'weight of the copy in the map above', vmin=1
    )
    names = [f'{dy:+d}, {dx:+d}' if dy or dx else 'unshifted' for dy, dx in result.shifts]
    shares = 100 * np.bincount(preferred.ravel(), minlength=len(names)) / preferred.size
    grid[1, 0].barh(names, shares, color=colours, edgecolor='black', linewidth=0.4)
    grid[1, 0].invert_yaxis()
    grid[1, 0].set(
        xlabel='% of patches that attend most to the copy',
        title='shift dy, dx (px of the network input)',
    )
    return figure


@dataclass(frozen=True)
class GradCam:
    """A map of how much the regions of an image support a class."""

    view: View  # the network's input, and how its pixels map to those of the image
    stage: int  # index of the stage whose feature map is weighted by the gradients
    cam: np.ndarray  # (h, w), from 0 to 1; all 0 if no region supports the class
    class_name: str
    score: float  # of the class, from 0 to 1


def compute_gradcam(
    model: Predictor,
    image: ImageLike,
    class_name: str | int | None = None,
    stage: int | None = None,
) -> GradCam:
    """Compute the Grad-CAM (arXiv 1610.02391) of a classifier's score for a class, before softmax.

    ``class_name`` is a name or an index, by default the predicted class. ``stage`` is an index, by
    default that of the last stage whose map has at least 4 x 4 tokens. The other arguments are
    those of :func:`.compute_attention`.
    """
    check_installed('Grad-CAM', 'pytorch_grad_cam')
    from pytorch_grad_cam import GradCAM

    if model.task != 'classification':
        raise UserError(
            f'Grad-CAM is for classifiers, and this is a {model.task} model. Use a classifier'
        )
    view = prepare_view(model, image)
    backbone = view.backbone
    stage = view.choose_stage(stage, backbone.num_stages - 1)
    with torch.no_grad():
        scores = model.network(view.inputs, mode='tensor')[0].softmax(-1)
    label = int(scores.argmax()) if class_name is None else model.find_label(class_name)
    # The layer whose output (B, H, W, C) is weighted: the stage's output norm or, without one, the
    # stage itself.
    name = f'norm{stage}' if stage in backbone.out_indices else f'stages.{stage}'
    layer = backbone.get_submodule(name)
    with (
        torch.enable_grad(),
        GradCAM(model.network, [layer], lambda x: x.permute(0, 3, 1, 2)) as gradcam,
    ):
        inputs = view.inputs.detach().requires_grad_()
        cam = gradcam(inputs, [lambda logits: logits[label] * GRADIENT_SCALE])[0]  # (h', w')
    model.network.zero_grad(set_to_none=True)
    rows, columns = view.size
    return GradCam(view, stage, cam[:rows, :columns], model.classes[label], float(scores[label]))


def draw_gradcam(result: GradCam) -> Figure:
    """Draw the image, and beside it the Grad-CAM over the image."""
    view = result.view
    title = f'Grad-CAM, stage {result.stage}: class {result.class_name}, score {result.score:.2f}'
    figure = view.make_figure(title, rows=1, columns=2, width=4.4)
    left, right = figure.subplots(1, 2)
    view.draw_image(left, 'image')
    # Grad-CAM ends with a ReLU, after which the map of a late stage may be zero.
    title = 'Grad-CAM' if result.cam.any() else 'the map of this stage is zero'
    style = {'cmap': 'turbo', 'alpha': 0.55, 'interpolation': 'bilinear', 'vmin': 0, 'vmax': 1}
    view.overlay_map(right, result.cam, view.box, title, 'relative activation', **style)
    return figure
