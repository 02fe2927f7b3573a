"""What a network sees of an image, where that lies in the image, and the inputs of its layers.

Shapes: H x W image in pixels, u and v columns and rows of the network's input.
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

# Pixels between two tokens of the first stage, where the stem says nothing else; each further stage has twice as many.
STEM_STRIDE = 4
# A map of fewer tokens on its shorter side tells no places apart.
FEWEST_TOKENS = 4

# Left, top, right, bottom.
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class View:
    """An image as a network takes it."""

    image: np.ndarray  # (H, W, 3) uint8, red, green, blue
    inputs: Tensor  # (1, 3, h', w'), what the network gets: normalised, and padded on the right and at the bottom
    data_samples: list[Any]  # the host's, of one image
    seen: tuple[int, int]  # (h, w), rows and columns of the inputs without padding
    scale: tuple[float, float]  # pixels of the image for one of the inputs, down and across
    offset: tuple[float, float]  # where in the image the inputs begin, in pixels from its top and left

    def in_image(self, box: Box) -> Box:
        """A box of the inputs in pixels of the image."""
        (down, across), (top, left) = self.scale, self.offset
        return box[0] * across + left, box[1] * down + top, box[2] * across + left, box[3] * down + top

    @property
    def box(self) -> Box:
        """The part of the image that is seen."""
        return self.in_image((0, 0, self.seen[1], self.seen[0]))

    def in_inputs(self, at: tuple[float, float] | None) -> tuple[float, float]:
        """A place x, y of the image as u, v of the inputs; None is the middle of what is seen."""
        if at is None:
            return self.seen[1] / 2, self.seen[0] / 2
        u, v = (at[0] - self.offset[1]) / self.scale[1], (at[1] - self.offset[0]) / self.scale[0]
        if not (0 <= u < self.seen[1] and 0 <= v < self.seen[0]):
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
    seen = tuple(prepared['inputs'].shape[-2:])
    batch = model.network.data_preprocessor(pseudo_collate([prepared]), False)
    # What the pipeline's resizing has noted, width and height. A crop is from the middle, padding right and below.
    factors = prepared['data_samples'].metainfo.get('scale_factor', (1.0, 1.0))
    resized = [round(length * factor) for length, factor in zip(array.shape[:2], reversed(factors), strict=True)]
    scale = tuple(length / side for length, side in zip(array.shape[:2], resized, strict=True))
    cropped = [max(0, round((side - shown) / 2)) for side, shown in zip(resized, seen, strict=True)]
    offset = tuple(start * factor for start, factor in zip(cropped, scale, strict=True))
    image = np.ascontiguousarray(array[..., ::-1])
    return View(image, batch['inputs'], batch['data_samples'], seen, scale, offset)


def get_backbone(model: Predictor) -> PyramidBackbone:
    """The backbone of a loaded model, which must be one of this package."""
    backbone = getattr(model.network, 'backbone', None)
    if not isinstance(backbone, PyramidBackbone):
        raise UserError(
            f'the backbone is {type(backbone).__name__}; pictures are made of the backbones of mmgcvit, such as '
            'mmgcvit.GCViT and mmgcvit.LSA'
        )
    return backbone


def check_number(what: str, number: int | None, count: int, where: str = '') -> None:
    """Reject a number of which there are only ``count``; None passes."""
    if number is not None and not 0 <= number < count:
        existing = f'0 to {count - 1}' if count > 1 else '0 only'
        raise UserError(f'there is no {what} {number}{where}; there are {existing}')


def get_stride(backbone: PyramidBackbone, stage: int) -> int:
    """Pixels of the input between two tokens of a stage."""
    return getattr(backbone.stem, 'stride', STEM_STRIDE) * 2**stage


@torch.no_grad()
def record_inputs(backbone: PyramidBackbone, images: Tensor, modules: Sequence[nn.Module]) -> list[tuple[Any, ...]]:
    """Record the inputs of modules of a backbone as it computes images (B, C, H, W)."""
    kept: list[tuple[Any, ...]] = [()] * len(modules)

    def keep(number: int, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        kept[number] = inputs

    handles = [module.register_forward_pre_hook(partial(keep, i)) for i, module in enumerate(modules)]
    try:
        backbone(images)
    except (ValueError, RuntimeError) as error:
        raise UserError(f'the network cannot take the image ({error})') from None
    finally:
        for handle in handles:
            handle.remove()
    return kept


def find_detailed_stage(backbone: PyramidBackbone, images: Tensor, last: int) -> int:
    """The last stage, of those up to ``last``, whose map has enough tokens to tell places apart; of none the first."""
    heard = record_inputs(backbone, images, [stage.blocks[-1] for stage in backbone.stages])
    sides = [min(inputs[0].shape[-3:-1]) for inputs in heard[: last + 1]]
    return max((stage for stage, side in enumerate(sides) if side >= FEWEST_TOKENS), default=0)
