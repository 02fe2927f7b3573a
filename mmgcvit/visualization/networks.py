"""Prepare an image for a network, convert coordinates between the two, and record the inputs of modules.

Shapes: H x W image in pixels; u and v are the column and the row in the network's input.
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
from ..inference import Predictor
from ..inference.images import ImageLike, as_array
from ..models.base import PyramidBackbone

# Stride of the first stage unless the stem has another; each further stage doubles it.
STEM_STRIDE = 4
# A feature map with fewer tokens on its shorter side is too coarse to show positions.
MIN_TOKENS = 4

# (left, top, right, bottom).
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class View:
    """An image and the inputs that a network gets for it."""

    image: np.ndarray  # (H, W, 3) uint8, RGB
    inputs: Tensor  # (1, 3, h', w'), normalised, and padded on the right and at the bottom
    data_samples: list[Any]  # mmengine's data sample of the image
    size: tuple[int, int]  # (h, w), of the inputs without padding
    scale: np.ndarray  # (2,), image pixels per input pixel, vertically and horizontally
    offset: np.ndarray  # (2,), row and column of the image pixel at the top left of the inputs

    def to_image(self, box: Box) -> Box:
        """Convert a box from pixels of the inputs to pixels of the image."""
        points = np.reshape(box, (2, 2)) * self.scale[::-1] + self.offset[::-1]
        return tuple(points.ravel().tolist())

    @property
    def box(self) -> Box:
        """Box of the image that the network sees."""
        return self.to_image((0, 0, self.size[1], self.size[0]))

    def to_inputs(self, at: tuple[float, float] | None) -> tuple[float, float]:
        """Convert a position (x, y) of the image to (u, v) of the inputs; None is the centre."""
        if at is None:
            return self.size[1] / 2, self.size[0] / 2
        u, v = ((np.array(at) - self.offset[::-1]) / self.scale[::-1]).tolist()
        if not (0 <= u < self.size[1] and 0 <= v < self.size[0]):
            left, top, right, bottom = self.box
            raise UserError(
                f'position {at[0]:g},{at[1]:g}: the network sees x from {left:.0f} to {right:.0f} and y from {top:.0f} '
                f'to {bottom:.0f} of the image'
            )
        return u, v


def prepare_view(model: Predictor, image: ImageLike) -> View:
    """Apply a model's test pipeline to an image."""
    array = as_array(image, model.loader)
    prepared = model.prepare_image(array)
    batch = model.network.data_preprocessor(pseudo_collate([prepared]), False)
    size = tuple(prepared['inputs'].shape[-2:])
    # Resize transforms record scale_factor (width, height). Crops are at the centre, padding is right and bottom.
    factors = np.array(prepared['data_samples'].metainfo.get('scale_factor', (1.0, 1.0)))[::-1]
    crop_offset = np.round((array.shape[:2] * factors - size) / 2).clip(min=0)
    image = np.ascontiguousarray(array[..., ::-1])
    return View(image, batch['inputs'], batch['data_samples'], size, 1 / factors, crop_offset / factors)


def get_backbone(model: Predictor) -> PyramidBackbone:
    """Return the backbone of a loaded model. Raise a UserError if it is not of this package."""
    backbone = getattr(model.network, 'backbone', None)
    if not isinstance(backbone, PyramidBackbone):
        raise UserError(
            f'cannot visualize the backbone {type(backbone).__name__}. Supported are the backbones of mmgcvit, such as '
            'mmgcvit.GCViT and mmgcvit.LSA'
        )
    return backbone


def check_index(name: str, index: int | None, count: int, where: str = '') -> None:
    """Raise a UserError for an index that is not from 0 to ``count - 1``; None is accepted."""
    if index is not None and not 0 <= index < count:
        allowed = f'0 to {count - 1}' if count > 1 else '0 only'
        raise UserError(f'there is no {name} {index}{where}. Expected {allowed}')


def get_stride(backbone: PyramidBackbone, stage: int) -> int:
    """Return the stride of a stage in pixels of the input."""
    return getattr(backbone.stem, 'stride', STEM_STRIDE) * 2**stage


def find_detailed_stage(backbone: PyramidBackbone, inputs: Tensor, last: int) -> int:
    """Return the last stage up to ``last`` whose map has at least 4 x 4 tokens; the first stage if none has."""
    side = min(inputs.shape[-2:])
    fitting = (stage for stage in range(last, 0, -1) if side / get_stride(backbone, stage) >= MIN_TOKENS)
    return next(fitting, 0)


@torch.no_grad()
def record_inputs(backbone: PyramidBackbone, images: Tensor, modules: Sequence[nn.Module]) -> list[tuple[Any, ...]]:
    """Record the inputs of some modules when the backbone processes images (B, C, H, W)."""
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
