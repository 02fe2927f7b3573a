"""Boxes from what heads predict for them: mmdet's ``DeltaXYWHBBoxCoder``, for a batch, with sizes that are traced."""

import math

import torch
from mmdet.models.task_modules import DeltaXYWHBBoxCoder
from torch import Tensor

from ..inference import UserError

# No side of a box grows or shrinks by a larger factor: mmdet's default.
LARGEST_FACTOR = 1000 / 16


def check_coder(coder: object) -> None:
    """Refuse coders that :func:`decoded` does not stand for.

    Raises:
        UserError: It is of another type, or has settings that this package's detectors have not.
    """
    if type(coder) is not DeltaXYWHBBoxCoder or coder.add_ctr_clamp or not coder.clip_border:
        raise UserError(
            f'the detector codes boxes by {type(coder).__name__}; exported are those by DeltaXYWHBBoxCoder, clipped to '
            'the image and without add_ctr_clamp'
        )


def decoded(boxes: Tensor, deltas: Tensor, coder: DeltaXYWHBBoxCoder, size: Tensor) -> Tensor:
    """Move and scale boxes as predicted (Girshick et al., R-CNN, appendix C), and clip them to the image.

    Args:
        boxes: Corners in pixels (..., 4): left, top, right, bottom.
        deltas: What is predicted for them, (..., 4): shifts of the centre in sides of the box, logarithms of factors.
        coder: Their means and deviations.
        size: Height and width of the images, (2,).

    Returns:
        Corners in pixels, of the shape that the two broadcast to.
    """
    deltas = deltas * deltas.new_tensor(coder.stds) + deltas.new_tensor(coder.means)
    near, far = boxes[..., :2], boxes[..., 2:]
    sides = far - near
    centres = (near + far) * 0.5 + sides * deltas[..., :2]
    limit = math.log(LARGEST_FACTOR)
    halves = sides * deltas[..., 2:].clamp(-limit, limit).exp() * 0.5
    limits = size.flip(0).to(boxes.dtype)
    corners = [torch.minimum(corner.clamp(min=0.0), limits) for corner in (centres - halves, centres + halves)]
    return torch.cat(corners, dim=-1)
