"""Features of regions out of the level that fits their size: mmdet's ``SingleRoIExtractor`` as a part of a graph."""

import torch
from mmcv.ops import RoIAlign
from mmdet.models import SingleRoIExtractor
from torch import Tensor, nn
from torchvision.ops import roi_align

from ..inference import UserError


class RoIFeatures(nn.Module):
    """Regions cut out of the maps by RoIAlign, which is an operator of ONNX.

    Args:
        extractor: The detector's.

    Raises:
        UserError: It is another one, or cuts out otherwise.
    """

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        layers = list(getattr(extractor, 'roi_layers', []))
        if not isinstance(extractor, SingleRoIExtractor) or not all(map(is_averaging, layers)):
            raise UserError(
                f'the detector cuts regions out by {type(extractor).__name__}; exported is SingleRoIExtractor with '
                'RoIAlign that averages'
            )
        self.layers = layers
        self.finest_scale = extractor.finest_scale

    def forward(self, maps: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        """Maps (B, C, H_i, W_i) and regions (n, 5) of image index and corners in pixels to (n, C, h, w)."""
        levels = self.levels_of(rois)
        places = [(levels == level).nonzero()[:, 0] for level in range(len(self.layers))]
        pieces = [
            roi_align(x, rois[place], layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned)
            for x, place, layer in zip(maps, places, self.layers, strict=False)
        ]
        return torch.cat(pieces)[torch.cat(places).argsort()]

    def levels_of(self, rois: Tensor) -> Tensor:
        """The level of each region (n, 5), by the root of its area (Lin et al., FPN, equation 1): (n,)."""
        sides = rois[:, 3:] - rois[:, 1:3]
        octaves = torch.log2(sides.prod(1).sqrt() / self.finest_scale + 1e-6).floor()
        return octaves.clamp(0, len(self.layers) - 1).long()


def is_averaging(layer: nn.Module) -> bool:
    """Whether a layer is what the ONNX operator computes."""
    return isinstance(layer, RoIAlign) and layer.pool_mode == 'avg'
