"""What a network sees of an image: the batch that it gets, and where in the image each of its pixels lies.

Legend: H x W image in pixels, u and v columns and rows of the network's input.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor

from ..inference import Predictor, UserError
from ..inference.images import ImageLike, as_array

# A ramp's grey values differ by that much from one end of the image to the other.
BRIGHTEST = 255
# Where the whole image is seen, its edges are found that exactly, in pixels.
TOLERANCE = 1.5

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class View:
    """An image as a network takes it.

    Attributes:
        image: (H, W, 3) uint8, red, green, blue.
        inputs: (1, 3, h', w'), what the network gets: normalised, and padded on the right and at the bottom.
        data_samples: The host's, of one image.
        seen: (h, w), rows and columns of the inputs without padding.
        scale: Pixels of the image for one of the inputs, down and across.
        offset: Where in the image the inputs begin, in pixels from its top and left.
    """

    image: np.ndarray
    inputs: Tensor
    data_samples: list[Any]
    seen: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]

    def in_image(self, box: Box) -> Box:
        """A box of the inputs in pixels of the image, both (left, top, right, bottom)."""
        (down, across), (top, left) = self.scale, self.offset
        return box[0] * across + left, box[1] * down + top, box[2] * across + left, box[3] * down + top

    @property
    def box(self) -> Box:
        """The part of the image that is seen: left, top, right, bottom in pixels."""
        return self.in_image((0, 0, self.seen[1], self.seen[0]))

    def in_inputs(self, at: tuple[float, float] | None) -> tuple[float, float]:
        """A place of the image in the inputs.

        Args:
            at: x and y in pixels of the image, from its top left corner; None for the middle of what is seen.

        Returns:
            (u, v).

        Raises:
            UserError: It is not seen.
        """
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
    """An image after the model's test pipeline, ready for its network.

    Args:
        model: As :func:`mmgcvit.load` makes it.
        image: A path, an array (height, width, 3) in the order blue, green, red, or an image of Pillow's.

    Raises:
        UserError: The image cannot be read or prepared.
    """
    array = as_array(image, model.loader)
    packed = model.packed(array)
    seen = tuple(packed['inputs'].shape[-2:])
    with model.in_scope():
        batch = model.network.data_preprocessor(pseudo_collate([packed]), False)
    (down, top), (across, left) = (found_place(model, array.shape[:2], seen, axis) for axis in (0, 1))
    return View(
        image=np.ascontiguousarray(array[..., ::-1]),
        inputs=batch['inputs'],
        data_samples=batch['data_samples'],
        seen=seen,
        scale=(down, across),
        offset=(top, left),
    )


def found_place(model: Predictor, size: tuple[int, int], seen: tuple[int, int], axis: int) -> tuple[float, float]:
    """Where the pixels of a network's input lie in the image, by a ramp of grey that takes the image's way.

    Pipelines resize and crop, and few note what they have done.

    Args:
        model: Whose pipeline.
        size: (H, W).
        seen: (h, w).
        axis: 0 for rows, 1 for columns.

    Returns:
        Scale and offset: input pixels from u to u + 1 lie at scale * u + offset in the image.
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
