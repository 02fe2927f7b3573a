"""Prepare an image for a network, record the inputs of modules, and draw maps over the image in
matplotlib.

Shapes: H x W image, h x w network input without padding, h' x w' with padding. Positions are (x, y)
in the image and (u, v) in the network's input, both in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn

from mmgcvit.errors import UserError
from mmgcvit.inference.inputs import ImageLike, convert_to_array
from mmgcvit.inference.predictor import Predictor
from mmgcvit.models.base import PyramidBackbone

# Minimum number of tokens on the shorter side of a feature map. Smaller maps are too coarse to show
# positions.
MIN_TOKENS = 4
# Weights of red, green and blue in a grey image (the luma of ITU-R BT.601), darkened so that a map
# over it stands out.
GREY = np.array((0.299, 0.587, 0.114)) * 0.8
CMAP = 'inferno'  # matplotlib's name of the colour map
MARK = '#00e5ff'  # colour of frames and marks on the image

Box = tuple[float, float, float, float]  # (left, top, right, bottom) in pixels


@dataclass(frozen=True)
class View:
    """An image, a backbone's input for it, how coordinates of the two relate, and drawings of the
    image.
    """

    backbone: PyramidBackbone
    image: np.ndarray  # (H, W, 3) uint8, RGB
    inputs: Tensor  # (1, 3, h', w'), normalised, and padded on the right and at the bottom
    size: tuple[int, int]  # (h, w), size of the inputs without padding
    scale: np.ndarray  # (2,) = [horizontal, vertical], image pixels per input pixel
    offset: np.ndarray  # (2,) = [x, y], position in the image of the inputs' top left corner

    def to_image(self, box: Box) -> Box:
        """Convert a box from pixels of the inputs to pixels of the image."""
        corners = np.reshape(box, (2, 2)) * self.scale + self.offset
        return tuple(corners.ravel().tolist())

    @property
    def box(self) -> Box:
        """The part of the image that the network sees, in pixels of the image."""
        height, width = self.size
        return self.to_image((0, 0, width, height))

    @property
    def image_box(self) -> Box:
        """The whole image in its pixels."""
        height, width = self.image.shape[:2]
        return 0, 0, width, height

    def to_inputs(self, at: tuple[float, float] | None) -> tuple[float, float]:
        """Convert a position (x, y) in the image to (u, v) in the inputs.

        None stands for the centre of the inputs. Raise a UserError if the position is outside of
        them.
        """
        height, width = self.size
        if at is None:
            return width / 2, height / 2
        u, v = ((np.array(at) - self.offset) / self.scale).tolist()
        if not (0 <= u < width and 0 <= v < height):
            left, top, right, bottom = self.box
            area = f'x from {left:.0f} to {right:.0f} and y from {top:.0f} to {bottom:.0f}'
            raise UserError(
                f'position {at[0]:g},{at[1]:g} is outside of what the network gets. Choose {area}'
            )
        return u, v

    def choose_stage(self, stage: int | None, last: int) -> int:
        """Return ``stage``.

        If it is None, return the last one up to ``last`` with at least 4 x 4 tokens, or 0.
        """
        check_index('stage', stage, self.backbone.num_stages)
        if stage is not None:
            return stage
        side = min(self.inputs.shape[-2:])
        for index in range(min(last, self.backbone.num_stages - 1), 0, -1):
            if side / self.backbone.get_stride(index) >= MIN_TOKENS:
                return index
        return 0

    @torch.no_grad()
    def record_inputs(self, modules: Sequence[nn.Module]) -> list[tuple[Any, ...]]:
        """Run the backbone on the inputs, and return what each of its ``modules`` gets."""
        recorded: dict[nn.Module, tuple[Any, ...]] = {}
        handles = [module.register_forward_pre_hook(recorded.__setitem__) for module in modules]
        try:
            self.backbone(self.inputs)
        except (ValueError, RuntimeError) as error:
            raise UserError(f'the network fails on the image ({error})') from None
        finally:
            for handle in handles:
                handle.remove()
        return [recorded[module] for module in modules]

    def make_figure(self, title: str, rows: int, columns: int, width: float) -> Figure:
        """Create a figure for ``rows`` x ``columns`` panels, each ``width`` inches wide and shaped
        like the image.
        """
        _, _, image_width, image_height = self.image_box
        height = float(np.clip(width * image_height / image_width, width / 3, width * 2))
        size = (columns * width + 1.4, rows * (height + 0.7) + 0.8)
        figure = Figure(figsize=size, layout='constrained')
        figure.suptitle(title, fontsize=15)
        return figure

    def draw_image(self, axes: Axes, title: str) -> None:
        """Draw the image, with a dashed frame around what the network sees if that is a part."""
        self.draw_map(axes, self.image, self.image_box, title)
        if not np.allclose(self.box, self.image_box):
            draw_box(axes, self.box, linestyle='--')

    def draw_map(
        self, axes: Axes, values: np.ndarray, box: Box, title: str, **style: Any
    ) -> AxesImage:
        """Draw a map (rows, columns), or colours (rows, columns, 3 or 4), over a box in pixels of
        the image.

        NaN is transparent.
        """
        left, top, right, bottom = box
        style = {'cmap': CMAP, 'interpolation': 'nearest', **style}
        drawn = axes.imshow(values, extent=(left, right, bottom, top), **style)
        _, _, width, height = self.image_box
        axes.set(xlim=(0, width), ylim=(height, 0), aspect='equal', title=title)
        return drawn

    def overlay_map(
        self,
        axes: Axes,
        values: np.ndarray,
        box: Box,
        title: str,
        label: str = 'attention (1 = uniform)',
        **style: Any,
    ) -> None:
        """Draw a map over the image in dark grey, and a colour bar if it has a ``label``."""
        grey = self.image @ GREY
        self.draw_map(axes, grey, self.image_box, title, cmap='gray', vmin=0, vmax=255)
        drawn = self.draw_map(axes, values, box, title, **{'alpha': 0.72, **style})
        if label:
            axes.figure.colorbar(drawn, ax=axes, shrink=0.85, extend='both', label=label)


def prepare_view(model: Predictor, image: ImageLike) -> View:
    """Apply a model's test pipeline and data preprocessor.

    Raise a UserError for backbones of other packages.
    """
    backbone = getattr(model.network, 'backbone', None)
    if not isinstance(backbone, PyramidBackbone):
        name = type(backbone).__name__
        raise UserError(
            f'cannot visualize the backbone {name}. Use a model with a backbone of mmgcvit, such '
            'as GCViT'
        )
    array = convert_to_array(image, model.decoding)
    prepared = model.prepare_image(array)
    batch = model.network.data_preprocessor(pseudo_collate([prepared]), False)
    size = tuple(prepared['inputs'].shape[-2:])
    # Transforms record scale_factor = (horizontal, vertical). Assume a centre crop, and padding on
    # the right and below.
    factors = np.array(prepared['data_samples'].metainfo.get('scale_factor', (1.0, 1.0)))
    resized = array.shape[1::-1] * factors
    crop_offset = np.round((resized - size[::-1]) / 2).clip(min=0)
    image = np.ascontiguousarray(array[..., ::-1])
    return View(backbone, image, batch['inputs'], size, 1 / factors, crop_offset / factors)


def check_index(name: str, index: int | None, count: int, where: str = '') -> None:
    """Raise a UserError if the index of a ``name``, such as a stage, is neither None nor from 0 to
    ``count - 1``.
    """
    if index is not None and not 0 <= index < count:
        allowed = f'0 to {count - 1}' if count > 1 else '0 only'
        raise UserError(f'there is no {name} {index}{where}. Expected {allowed}')


def format_head(head: int | None) -> str:
    return 'mean of all heads' if head is None else f'head {head}'


def draw_box(axes: Axes, box: Box, **style: Any) -> None:
    """Draw the outline of a box."""
    left, top, right, bottom = box
    size = (right - left, bottom - top)
    axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor=MARK, **style))
