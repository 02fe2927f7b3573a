"""Prepare an image for a network, convert coordinates between image and network input, and record inputs of modules.

Shapes: H x W image, h x w network input without padding, h' x w' with padding. Positions are (x, y) in the image and
(u, v) in the network's input, both in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn

from ..errors import UserError
from ..inference.inputs import ImageLike, convert_to_array
from ..inference.predictor import Predictor
from ..models.base import PyramidBackbone

# Minimum number of tokens on the shorter side of a feature map. Smaller maps are too coarse to show positions.
MIN_TOKENS = 4

# (left, top, right, bottom) in pixels.
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class View:
    """An image, the network's input for it, and how coordinates of the two relate."""

    image: np.ndarray  # (H, W, 3) uint8, RGB
    inputs: Tensor  # (1, 3, h', w'), normalised, and padded on the right and at the bottom
    size: tuple[int, int]  # (h, w), size of the inputs without padding
    scale: np.ndarray  # (2,) = [vertical, horizontal], image pixels per input pixel
    offset: np.ndarray  # (2,) = [row, column], position in the image of the top left corner of the inputs

    def to_image(self, box: Box) -> Box:
        """Convert a box from pixels of the inputs to pixels of the image."""
        points = np.reshape(box, (2, 2)) * self.scale[::-1] + self.offset[::-1]
        return tuple(points.ravel().tolist())

    @property
    def box(self) -> Box:
        """The part of the image that the network sees, in pixels of the image."""
        return self.to_image((0, 0, self.size[1], self.size[0]))

    def to_inputs(self, at: tuple[float, float] | None) -> tuple[float, float]:
        """Convert a position (x, y) in the image to (u, v) in the inputs. None stands for the centre of the inputs."""
        if at is None:
            return self.size[1] / 2, self.size[0] / 2
        u, v = ((np.array(at) - self.offset[::-1]) / self.scale[::-1]).tolist()
        if not (0 <= u < self.size[1] and 0 <= v < self.size[0]):
            left, top, right, bottom = self.box
            raise UserError(
                f'position {at[0]:g},{at[1]:g} is outside of the area that the network gets. Choose x from {left:.0f} '
                f'to {right:.0f} and y from {top:.0f} to {bottom:.0f}'
            )
        return u, v


def prepare_view(model: Predictor, image: ImageLike) -> View:
    """Apply a model's test pipeline and data preprocessor to an image."""
    array = convert_to_array(image, model.decoding)
    prepared = model.prepare_image(array)
    batch = model.network.data_preprocessor(pseudo_collate([prepared]), False)
    size = tuple(prepared['inputs'].shape[-2:])
    # Transforms record scale_factor = (horizontal, vertical). Assume a centre crop, and padding on the right and below.
    factors = np.array(prepared['data_samples'].metainfo.get('scale_factor', (1.0, 1.0)))[::-1]
    crop_offset = np.round((array.shape[:2] * factors - size) / 2).clip(min=0)
    image = np.ascontiguousarray(array[..., ::-1])
    return View(image, batch['inputs'], size, 1 / factors, crop_offset / factors)


def get_backbone(model: Predictor) -> PyramidBackbone:
    """Return the backbone of a loaded model. Raise a UserError if it is not a backbone of mmgcvit."""
    backbone = getattr(model.network, 'backbone', None)
    if not isinstance(backbone, PyramidBackbone):
        name = type(backbone).__name__
        raise UserError(f'cannot visualize the backbone {name}. Use a model with a backbone of mmgcvit, such as GCViT')
    return backbone


def check_index(name: str, index: int | None, count: int, where: str = '') -> None:
    """Raise a UserError if the index of a ``name``, such as a stage, is neither None nor from 0 to ``count - 1``."""
    if index is not None and not 0 <= index < count:
        allowed = f'0 to {count - 1}' if count > 1 else '0 only'
        raise UserError(f'there is no {name} {index}{where}. Expected {allowed}')


def find_detailed_stage(backbone: PyramidBackbone, inputs: Tensor, last: int) -> int:
    """Return the last stage up to ``last`` whose map has at least 4 x 4 tokens. If there is none, return 0."""
    side = min(inputs.shape[-2:])
    fitting = (stage for stage in range(last, 0, -1) if side / backbone.get_stride(stage) >= MIN_TOKENS)
    return next(fitting, 0)


@torch.no_grad()
def record_inputs(backbone: PyramidBackbone, images: Tensor, modules: Sequence[nn.Module]) -> list[tuple[Any, ...]]:
    """Run the backbone on images (B, C, h', w'), and return the inputs that each of ``modules`` got."""
    recorded: list[tuple[Any, ...]] = [()] * len(modules)

    def record(index: int, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        recorded[index] = inputs

    handles = [module.register_forward_pre_hook(partial(record, i)) for i, module in enumerate(modules)]
    try:
        backbone(images)
    except (ValueError, RuntimeError) as error:
        raise UserError(f'the network fails on the image ({error})') from None
    finally:
        for handle in handles:
            handle.remove()
    return recorded
