"""Compute and draw which regions of an image support a class, with Grad-CAM (arXiv 1610.02391; package ``grad-cam``).

Grad-CAM weights each channel by its mean gradient over the image. For a box, few positions matter, and the mean would
dilute their gradients. So boxes are explained by HiResCAM (arXiv 2011.08891): it weights each position by its gradient.

Shapes: h x w pixels of the network's input without padding, h' x w' pixels with padding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from ..errors import UserError, check_installed, shorten
from ..inference.inputs import ImageLike
from ..inference.predictor import Predictor
from .networks import Box, View, check_index, find_detailed_stage, get_backbone, prepare_view
from .panels import MARK, draw_box, draw_image, draw_map, get_extent, make_figure

# grad-cam divides a map by its maximum plus 1e-7. Gradients are scaled up, so that the 1e-7 does not change small maps.
GRADIENT_SCALE = 1e4
# Maximum number of class names in an error.
MAX_NAMES_LISTED = 20


@dataclass(frozen=True)
class GradCam:
    """A map of how much the regions of an image support a class or a box."""

    view: View  # the network's input, and how its pixels map to those of the image
    method: str  # 'Grad-CAM', or 'HiResCAM' for a detector
    stage: int  # index of the stage whose feature map is weighted by the gradients
    cam: np.ndarray  # (h, w), from 0 to 1; all 0 if no region supports the class
    class_name: str
    score: float | None  # of the class or the box, from 0 to 1; None for a segmentor
    box: Box | None = None  # only of a detector: the explained box, in pixels of the image
    region: np.ndarray | None = None  # only of a segmentor: bool, the pixels of its output that have the class


# Target: a function from the model's output for one image to the scalar that is differentiated. Fields: keyword
# arguments of GradCam.
TargetAndFields = tuple[Callable[[Any], Tensor], dict[str, Any]]


class ModelWrapper(nn.Module):
    """Wrap a model for grad-cam: return a classifier's or segmentor's logits, or a detector's data samples."""

    def __init__(self, model: Predictor, view: View) -> None:
        super().__init__()
        self.model, self.data_samples = model.network, view.data_samples
        self.mode = 'predict' if model.task == 'detection' else 'tensor'

    def forward(self, inputs: Tensor) -> Any:
        return self.model(inputs, self.data_samples, mode=self.mode)


def compute_gradcam(
    model: Predictor,
    image: ImageLike,
    class_name: str | int | None = None,
    box: int | None = None,
    stage: int | None = None,
) -> GradCam:
    """Compute the Grad-CAM of a class or, for a detector, the HiResCAM of a box.

    The differentiated scalar is the logit of a classifier, the log odds of a detector's box, or the mean logit of the
    pixels that a segmentor assigns to the class.

    Args:
        model: As for :func:`.compute_attention`.
        image: As for :func:`.compute_attention`.
        class_name: Name or index of the class. Default: the class that a classifier predicts, the class of a detector's
            highest-scoring box, or the class with the most pixels of a segmentation.
        box: Index of a detector's box, by descending score. Only boxes of ``class_name`` count, if it is given.
        stage: Index of the stage. Default: the last stage whose map has at least 4 x 4 tokens. If its Grad-CAM is zero
            everywhere, the last earlier stage whose Grad-CAM is not.
    """
    check_installed('Grad-CAM', 'pytorch_grad_cam')
    if box is not None and model.task != 'detection':
        raise UserError(f'box {box}: a box is only for detectors, and this is a {model.task} model. Remove --box')
    backbone = get_backbone(model)
    label = None if class_name is None else find_label(model, class_name)
    check_index('stage', stage, backbone.num_stages)
    view = prepare_view(model, image)
    wrapper, method = ModelWrapper(model, view), 'HiResCAM' if model.task == 'detection' else 'Grad-CAM'
    with torch.no_grad():
        target, fields = TARGETS[model.task](model, wrapper(view.inputs)[0], label, box)
    # Grad-CAM ends with a ReLU, after which the map of a late stage may be zero. Then try the stage before.
    last = find_detailed_stage(backbone, view.inputs, backbone.num_stages - 1)
    for index in range(last, -1, -1) if stage is None else [stage]:
        # The layer whose output (B, H, W, C) is weighted: the stage's output norm or, without one, the stage itself.
        name = f'norm{index}' if index in backbone.out_indices else f'stages.{index}'
        cam = compute_cam(method, backbone.get_submodule(name), wrapper, view.inputs, target)
        if cam.any():
            break
    rows, columns = view.size
    return GradCam(view, method, index, cam[:rows, :columns], **fields)


def compute_cam(method: str, layer: nn.Module, wrapper: ModelWrapper, inputs: Tensor, target: Callable) -> np.ndarray:
    """Compute the map (h', w') of a layer by Grad-CAM or HiResCAM, from 0 to 1, for padded inputs (1, 3, h', w')."""
    from pytorch_grad_cam import GradCAM, HiResCAM

    cam_class = HiResCAM if method == 'HiResCAM' else GradCAM
    cam = cam_class(wrapper, [layer], reshape_transform=lambda x: x.permute(0, 3, 1, 2))
    try:
        with torch.enable_grad():
            return cam(inputs.detach().requires_grad_(), [lambda output: target(output) * GRADIENT_SCALE])[0]
    finally:
        # Remove the hooks here, since grad-cam's own context manager would suppress an IndexError.
        cam.activations_and_grads.release()
        wrapper.zero_grad(set_to_none=True)


def find_label(model: Predictor, class_name: str | int) -> int:
    """Return the index of the class with this name or index. Raise a UserError if there is no such class."""
    names = model.classes
    if class_name in names:
        return names.index(class_name)
    if str(class_name).isdecimal() and int(class_name) < len(names):
        return int(class_name)
    raise UserError(
        f'the model has no class {class_name}. Choose one of its {len(names)} classes: '
        f'{shorten(names, MAX_NAMES_LISTED)}'
    )


def make_class_target(model: Predictor, logits: Tensor, label: int | None, _: None) -> TargetAndFields:
    """Return the target for a class of a classifier, by default the predicted one."""
    label = int(logits.argmax()) if label is None else label
    fields = {'class_name': model.get_names([label])[0], 'score': float(logits.softmax(-1)[label])}
    return lambda output: output[label], fields


def make_box_target(model: Predictor, sample: Any, label: int | None, box: int | None) -> TargetAndFields:
    """Return the target for a box of a detector, by default the highest-scoring one.

    ``box`` is its index by descending score, among the boxes of class ``label`` if that is given.
    """
    objects = sample.pred_instances
    indices = range(len(objects)) if label is None else (objects.labels == label).nonzero()[:, 0].tolist()
    where = ' in the image' if label is None else f' of class {model.get_names([label])[0]} in the image'
    if not len(indices):
        raise UserError(f'the model detects no object{where}. Choose another image')
    check_index('box', box, len(indices), where)
    index = indices[box or 0]
    fields = {
        'class_name': model.get_names([int(objects.labels[index])])[0],
        'score': float(objects.scores[index]),
        'box': tuple(objects.bboxes[index].tolist()),
    }
    # The gradient of the log odds does not vanish where the score is near 1.
    return lambda output: output.pred_instances.scores[index].double().logit(eps=1e-12), fields


def make_region_target(model: Predictor, logits: Tensor, label: int | None, _: None) -> TargetAndFields:
    """Return the target for the pixels of a class in a segmentation, by default the class with the most pixels."""
    label_map = logits.argmax(0)
    label = int(label_map.flatten().bincount().argmax()) if label is None else label
    region, (name,) = label_map == label, model.get_names([label])
    if not region.any():
        names = ', '.join(model.get_names(label_map.unique().tolist()))
        raise UserError(
            f'the model predicts no pixel of class {name} in this image. Choose one of the classes that it predicts: '
            f'{names}'
        )
    fields = {'class_name': name, 'score': None, 'region': region.cpu().numpy()}
    return lambda output: output[label][region].mean(), fields


TARGETS = {'classification': make_class_target, 'detection': make_box_target, 'segmentation': make_region_target}


def draw_gradcam(result: GradCam) -> Figure:
    """Draw the image, and beside it the Grad-CAM over the image; mark the explained box or region in both pictures."""
    view = result.view
    support = f'score {result.score:.2f}' if result.region is None else f'{result.region.mean():.1%} of the pixels'
    title = f'{result.method}, stage {result.stage}: class {result.class_name}, {support}'
    figure = make_figure(view, title, rows=1, columns=2, width=4.4)
    left, right = figure.subplots(1, 2)
    draw_image(left, view, 'image')
    title = result.method if result.cam.any() else 'the map of this stage is zero'
    style = {'cmap': 'turbo', 'alpha': 0.55, 'interpolation': 'bilinear', 'vmin': 0, 'vmax': 1}
    draw_map(right, view, result.cam, view.box, title, 'relative activation', **style)
    for axes in (left, right):
        if result.box is not None:
            draw_box(axes, result.box, linewidth=1.8)
        if result.region is not None and not result.region.all():
            rows, columns = view.inputs.shape[-2:]
            extent = get_extent(view.to_image((0, 0, columns, rows)))
            style = {'levels': [0.5], 'colors': [MARK], 'linewidths': 1.2, 'origin': 'upper'}
            axes.contour(result.region.astype(float), extent=extent, **style)
    return figure
