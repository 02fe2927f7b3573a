"""Add torchvision's feature pyramid network (FPN) to a backbone, for torchvision's detection models."""

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, FeaturePyramidNetwork, LastLevelMaxPool

from ..models.base import PyramidBackbone


class BackboneWithFPN(nn.Module):
    """A backbone with an FPN, as torchvision's MaskRCNN, FasterRCNN and RetinaNet expect it.

    Args:
        backbone: Its feature maps are the FPN's inputs. Use all four stages for MaskRCNN and FasterRCNN, and the last
            three (``out_indices=(1, 2, 3)``) for RetinaNet: the default anchors of these models are for five levels.
        out_channels: Channels of the FPN's feature maps.
        extra_blocks: Adds feature maps after the last one. The default, ``LastLevelMaxPool``, adds one of half its
            size. For RetinaNet use ``LastLevelP6P7(out_channels, out_channels)``.
        norm_layer: Normalisation layer in the FPN. By default there is none.

    Shapes: images (B, in_channels, H, W) to a dict of feature maps (B, out_channels, H_i, W_i). Its keys are ``'0'``,
    ``'1'``, ... from the finest map on, then those of ``extra_blocks``.
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
        """Return the FPN's feature maps of images (B, in_channels, H, W) by name."""
        return self.fpn(OrderedDict((str(level), feature_map) for level, feature_map in enumerate(self.body(images))))
