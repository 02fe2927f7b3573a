"""LSA's shifted copies: where their patches lie, and which of its copies each patch attends to.

Legend: h x w patches, nH heads, T shifts.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ..inference import Predictor, UserError
from ..inference.images import ImageLike
from .networks import backbone_of, chosen, inputs_of
from .views import View, view_of


@dataclass(frozen=True)
class Shifts:
    """How the first block of LSA attends to shifted copies of an image.

    Attributes:
        view: The image.
        shifts: T pairs (dy, dx) in pixels of the network's input: how far the copy's content moves down and to the
            right. A patch of the copy therefore shows what lies as far up and to the left in the image.
        stride: Pixels between two patches.
        kernel_size: Side of a patch in pixels.
        head: None for the mean of all.
        weights: (h, w, T), how much each patch attends to each of its copies; they sum to 1.
        preferred: (h, w), the number of the shift with the largest weight.
    """

    view: View
    shifts: tuple[tuple[int, int], ...]
    stride: int
    kernel_size: int
    head: int | None
    weights: np.ndarray
    preferred: np.ndarray

    @property
    def box(self) -> tuple[float, float, float, float]:
        """What the patches cover: left, top, right, bottom in pixels of the image."""
        rows, columns = self.preferred.shape
        return self.view.in_image((0, 0, columns * self.stride, rows * self.stride))

    @property
    def counts(self) -> np.ndarray:
        """How many patches prefer each shift: (T,)."""
        return np.bincount(self.preferred.ravel(), minlength=len(self.shifts))


def shifts(model: Predictor, image: ImageLike, head: int | None = None) -> Shifts:
    """How LSA's first block attends to the shifted copies of an image.

    Args:
        model: As :func:`mmgcvit.load` makes it.
        image: A path, an array (height, width, 3) in the order blue, green, red, or an image of Pillow's.
        head: From 0. Default: the mean of all heads.

    Raises:
        UserError: The network has no shifts, or no such head.
    """
    backbone = backbone_of(model)
    attn, stem = backbone.stages[0].blocks[0].attn, backbone.stem
    if not hasattr(stem, 'shifts'):
        raise UserError(f'this {type(backbone).__name__} has no shifted copies of the image, which only LSA has')
    if head is not None:
        chosen('head', head, attn.num_heads, 0, ' in stage 0')
    view = view_of(model, image)
    ((copies,),) = inputs_of(backbone, view.inputs, [attn])
    with torch.no_grad():
        weights = attn.attention_weights(copies)[0].float()
    weights = (weights.mean(-2) if head is None else weights[..., head, :]).cpu().numpy()
    return Shifts(view, stem.shifts, stem.stride, stem.kernel_size, head, weights, weights.argmax(-1))
