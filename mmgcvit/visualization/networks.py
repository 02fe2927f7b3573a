"""A network at work on an image: what it sees and where that lies in the image, and what its parts get.

Legend: H x W image in pixels, u and v columns and rows of the network's input.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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

# A ramp's grey values differ by that much from one end of the image to the other.
BRIGHTEST = 255
# Where the whole image is seen, its edges are found that exactly, in pixels.
TOLERANCE = 1.5
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


def view_of(model: Predictor, image: ImageLike) -> View:
    """An image after the model's test pipeline, ready for its network."""
    array = as_array(image, model.loader)
    packed = model.packed(array)
    seen = tuple(packed['inputs'].shape[-2:])
    batch = model.network.data_preprocessor(pseudo_collate([packed]), False)
    (down, top), (across, left) = (found_place(model, array.shape[:2], seen, axis) for axis in (0, 1))
    image = np.ascontiguousarray(array[..., ::-1])
    return View(image, batch['inputs'], batch['data_samples'], seen, scale=(down, across), offset=(top, left))


def found_place(model: Predictor, size: tuple[int, int], seen: tuple[int, int], axis: int) -> tuple[float, float]:
    """Scale and offset along an axis: input pixels from u to u + 1 lie at scale * u + offset in the image.

    Pipelines resize and crop, and few note what they have done: a ramp of grey takes the image's way.
    """
    length, count = size[axis], seen[axis]
    ramp = np.rint((np.arange(length) + 0.5) * BRIGHTEST / length).astype(np.uint8)
    grey = np.broadcast_to(ramp[:, None] if axis == 0 else ramp[None, :], size)
    inputs = model.packed(np.repeat(grey[..., None], 3, axis=2))['inputs']
    values = np.asarray(torch.as_tensor(inputs).float().mean((0, 2 - axis)))
    # Resizing flattens the ends.
    inner = slice(count // 8, count - count // 8)
    places = (np.arange(count) + 0.5)[inner]
    scale, offset = np.polyfit(places, values[inner] * length / BRIGHTEST, 1)
    if max(abs(offset), abs(scale * count + offset - length)) < TOLERANCE + 2 * length / BRIGHTEST:
        return length / count, 0.0
    return float(scale), float(offset)


def backbone_of(model: Predictor) -> PyramidBackbone:
    """The backbone of a loaded model, which must be one of this package."""
    backbone = getattr(model.network, 'backbone', None)
    if not isinstance(backbone, PyramidBackbone):
        raise UserError(
            f'the backbone is {type(backbone).__name__}; pictures are made of the backbones of mmgcvit, such as '
            'mmgcvit.GCViT and mmgcvit.LSA'
        )
    return backbone


def check_number(what: str, number: int | None, count: int, where: str = '') -> None:
    """Refuse the number of a part of which there are ``count``; None is none."""
    if number is not None and not 0 <= number < count:
        existing = f'0 to {count - 1}' if count > 1 else '0 only'
        raise UserError(f'there is no {what} {number}{where}; there are {existing}')


def stride_of(backbone: PyramidBackbone, stage: int) -> int:
    """Pixels of the input between two tokens of a stage."""
    return getattr(backbone.stem, 'stride', STEM_STRIDE) * 2**stage


@contextmanager
def recorded_inputs(modules: Sequence[nn.Module]) -> Iterator[list[tuple[Any, ...]]]:
    """What modules are called with inside of the context: a list, at the end of which there is something of each."""
    kept: list[tuple[Any, ...]] = [()] * len(modules)

    def keep(number: int, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        kept[number] = inputs

    handles = [module.register_forward_pre_hook(partial(keep, i)) for i, module in enumerate(modules)]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def inputs_of(backbone: PyramidBackbone, images: Tensor, modules: Sequence[nn.Module]) -> list[tuple[Any, ...]]:
    """What each of the modules of a backbone gets when it computes images (B, C, H, W)."""
    with recorded_inputs(modules) as inputs:
        try:
            backbone(images)
        except (ValueError, RuntimeError) as error:
            raise UserError(f'the network cannot take the image ({error})') from None
    return inputs


def last_detailed_stage(backbone: PyramidBackbone, images: Tensor, last: int) -> int:
    """The last stage, of those up to ``last``, whose map has enough tokens to tell places apart; of none the first."""
    heard = inputs_of(backbone, images, [stage.blocks[-1] for stage in backbone.stages])
    sides = [min(inputs[0].shape[-3:-1]) for inputs in heard[: last + 1]]
    return max((stage for stage, side in enumerate(sides) if side >= FEWEST_TOKENS), default=0)
