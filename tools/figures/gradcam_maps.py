"""Compute and draw Grad-CAM: how much the regions of an image support a class.

Shapes: h x w network input without padding, h' x w' with padding.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmgcvit.errors import UserError
from mmgcvit.ops.requirements import check_installed
from mmgcvit.predict.inputs import ImageLike
from mmgcvit.predict.predictor import Predictor
from mmgcvit.predict.results import find_labels

from .views import View, prepare_view

# grad-cam divides a map by its maximum plus 1e-7. Gradients are scaled up, so that the 1e-7 does
# not change small maps.
GRADIENT_SCALE = 1e4


@dataclass(frozen=True)
class GradCam:
    """A map of how much the regions of an image support a class."""

    view: View
    stage: int  # index of the stage whose feature map is weighted by the gradients
    cam: NDArray[np.float32]  # (h, w), from 0 to 1; all 0 if no region supports the class
    class_name: str
    score: float  # of the class, from 0 to 1


def compute_gradcam(
    model: Predictor[Any],
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
    label = int(scores.argmax())
    if class_name is not None:
        label = find_labels([class_name], model.classes)[0]  # the first of several of that name
    # The layer whose output (B, H, W, C) is weighted: the stage's output norm or, without one, the
    # stage itself.
    name = f'norm{stage}' if stage in backbone.out_indices else f'stages.{stage}'
    layers = [backbone.get_submodule(name)]
    inputs = view.inputs.detach().requires_grad_()
    with (
        torch.enable_grad(),
        GradCAM(model.network, layers, lambda x: x.permute(0, 3, 1, 2)) as gradcam,
    ):
        cam = gradcam(inputs, [lambda logits: logits[label] * GRADIENT_SCALE])[0]  # (h', w')
    model.network.zero_grad(set_to_none=True)
    height, width = view.image.shape[:2]
    return GradCam(
        view=view,
        stage=stage,
        cam=cam[:height, :width],
        class_name=model.classes[label],
        score=float(scores[label]),
    )


def draw_gradcam(result: GradCam) -> Figure:
    """Draw the image, and beside it the Grad-CAM over the image."""
    view = result.view
    title = f'Grad-CAM, stage {result.stage}: class {result.class_name}, score {result.score:.2f}'
    figure, axes = view.make_figure(title, [['image', 'cam']])
    view.draw_image(axes['image'], 'image')
    # Grad-CAM ends with a ReLU, after which the map of a late stage may be zero.
    title = 'Grad-CAM' if result.cam.any() else 'the map of this stage is zero'
    style = {'cmap': 'turbo', 'alpha': 0.55, 'interpolation': 'bilinear', 'vmin': 0, 'vmax': 1}
    label = 'relative activation'
    view.draw_map(axes['cam'], result.cam, stride=1, title=title, label=label, **style)
    return figure
