"""torchvision: a backbone under torchvision's feature pyramid, as its detection models take one."""

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, FeaturePyramidNetwork, LastLevelMaxPool

from ..models.base import PyramidBackbone


class BackboneWithFPN(nn.Module):
    """A backbone and a feature pyramid over its maps: what torchvision's MaskRCNN, FasterRCNN and RetinaNet take.

    Args:
        backbone: Its maps are the pyramid's inputs: of four stages for MaskRCNN and FasterRCNN, of the last three
            (``out_indices=(1, 2, 3)``) for RetinaNet, whose default anchors are of five levels as well.
        out_channels: Channels of the pyramid's maps.
        extra_blocks: What adds maps above the last one. Default: ``LastLevelMaxPool``, one of half its size; RetinaNet
            has ``LastLevelP6P7(out_channels, out_channels)``.
        norm_layer: Normalisation in the pyramid, none by default.

    Shapes: (B, in_channels, H, W) to (B, out_channels, H_i, W_i) by name: ``'0'``, ``'1'``, ... from the finest map on,
    then those of ``extra_blocks``.
    """

    def __init__(
        self,
        backbone: PyramidBackbone,
        out_channels: int = 256,
        extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.body = backbone
        self.fpn = FeaturePyramidNetwork(
            [backbone.stage_dims[i] for i in backbone.out_indices],
            out_channels,
            extra_blocks=LastLevelMaxPool() if extra_blocks is None else extra_blocks,
            norm_layer=norm_layer,
        )
        self.out_channels = out_channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (B, in_channels, H, W) to the pyramid's maps by name."""
        return self.fpn(OrderedDict((str(level), found) for level, found in enumerate(self.body(images))))
