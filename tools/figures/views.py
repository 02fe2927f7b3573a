"""Prepare an image for a network, record the inputs of modules, and draw maps over the image in
matplotlib.

Shapes: h x w network input without padding, h' x w' with padding. Positions (x, y) and strides are
in pixels of the network's input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.dataset import pseudo_collate
from numpy.typing import NDArray
from torch import Tensor, nn

from mmgcvit.errors import UserError
from mmgcvit.models.base import PyramidBackbone
from mmgcvit.predict.inputs import ImageLike, convert_to_array
from mmgcvit.predict.predictor import Predictor

# Minimum number of tokens on the shorter side of a feature map. Smaller maps are too coarse to show
# positions.
MIN_TOKENS = 4
# Weights of red, green and blue in a grey image (the luma of ITU-R BT.601), darkened so that a map
# over it stands out.
GREY = np.array((0.299, 0.587, 0.114)) * 0.8
CMAP = 'inferno'  # matplotlib's name of the colour map
PANEL_WIDTH = 3.7  # inches


@dataclass(frozen=True)
class View:
    """What a backbone gets for an image, and drawings of it."""

    backbone: PyramidBackbone
    image: NDArray[np.uint8]  # (h, w, 3), RGB: the image as the test pipeline resizes and crops it
    inputs: Tensor  # (1, 3, h', w'): normalised, and padded on the right and at the bottom

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

    def make_figure(self, title: str, panels: list[list[str]]) -> tuple[Figure, dict[str, Axes]]:
        """Create a figure and the axes of its panels, which are shaped like the image.

        ``panels`` has the name of each panel, row by row. A panel spans the cells with its name.
        """
        height, width = self.image.shape[:2]
        panel_height = PANEL_WIDTH * np.clip(height / width, 1 / 3, 2)
        size = (len(panels[0]) * PANEL_WIDTH + 1.4, len(panels) * (panel_height + 0.7) + 0.8)
        figure = Figure(figsize=size, layout='constrained')
        figure.suptitle(title, fontsize=15)
        return figure, figure.subplot_mosaic(panels)

    def draw_image(self, axes: Axes, title: str) -> None:
        height, width = self.image.shape[:2]
        axes.imshow(self.image, extent=(0, width, height, 0))
        axes.set_title(title)

    def draw_map(
        self,
        axes: Axes,
        values: NDArray[np.float32],
        stride: int,
        title: str,
        label: str = 'attention (1 = uniform)',
        **style: Any,
    ) -> None:
        """Draw a map (rows, columns), or colours (rows, columns, 3 or 4), over the image in dark
        grey, and a colour bar if it has a ``label``. NaN is transparent.
        """
        height, width = self.image.shape[:2]
        extent = (0, width, height, 0)
        axes.imshow(self.image @ GREY, cmap='gray', vmin=0, vmax=255, extent=extent)
        rows, columns = values.shape[:2]
        # A map of padded inputs is larger than the image.
        extent = (0, columns * stride, rows * stride, 0)
        style = {'cmap': CMAP, 'interpolation': 'nearest', 'alpha': 0.72, **style}
        drawn = axes.imshow(values, extent=extent, **style)
        axes.set(xlim=(0, width), ylim=(height, 0), title=title)
        if label:
            axes.figure.colorbar(drawn, ax=axes, shrink=0.85, extend='both', label=label)


def prepare_view(model: Predictor[Any], image: ImageLike) -> View:
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
    prepared = model.prepare_image(convert_to_array(image, model.decoding))
    batch = model.network.data_preprocessor(pseudo_collate([prepared]), False)
    bgr = prepared['inputs'].byte().permute(1, 2, 0).numpy()
    return View(backbone, bgr[..., ::-1], batch['inputs'])


def check_index(name: str, index: int | None, count: int, where: str = '') -> None:
    """Raise a UserError if the index of a ``name``, such as a stage, is neither None nor from 0 to
    ``count - 1``.
    """
    if index is not None and not 0 <= index < count:
        allowed = f'0 to {count - 1}' if count > 1 else '0 only'
        raise UserError(f'there is no {name} {index}{where}. Expected {allowed}')


def format_head(head: int | None) -> str:
    return 'mean of all heads' if head is None else f'head {head}'
