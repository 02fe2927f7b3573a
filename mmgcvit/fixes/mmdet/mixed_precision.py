"""Modules that train in float32 beside a backbone in half precision."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet import models as mmdet
from mmdet.models import layers
from mmengine.structures import InstanceData
from torch import Tensor

from ...registry import MODELS

Tensors = tuple[Tensor, ...]  # of the levels of feature maps


@MODELS.register_module()
class RPNHead(mmdet.RPNHead):
    """mmdet's RPNHead with predictions, and so proposals, in float32 until mmcv's operators support
    bfloat16.
    """

    def forward(self, x: Tensors) -> tuple[list[Tensor], ...]:
        """Return two lists over levels i: scores (B, A, H_i, W_i) and box deltas (B, 4A, H_i, W_i)
        of A anchors.
        """
        return tuple([prediction.float() for prediction in levels] for levels in super().forward(x))


class Float32RoIHead(mmdet.BaseRoIHead):
    """Base class of RoI heads on feature maps in float32, which are cast once for all RoI
    extractors.

    mmcv's CUDA operator for RoIAlign does not support bfloat16 and gives wrong results for
    channels-last tensors. Remove this class and its subclasses when it does both.
    """

    def loss(self, x: Tensors, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Return the losses, by name, of feature maps (B, C, H_i, W_i)."""
        return super().loss(make_float32(x), *args, **kwargs)

    def predict(self, x: Tensors, *args: Any, **kwargs: Any) -> list[InstanceData]:
        """Return the predictions for each image of feature maps (B, C, H_i, W_i)."""
        return super().predict(make_float32(x), *args, **kwargs)


@MODELS.register_module()
class StandardRoIHead(Float32RoIHead, mmdet.StandardRoIHead):
    """mmdet's StandardRoIHead as a :class:`Float32RoIHead`."""


@MODELS.register_module()
class CascadeRoIHead(Float32RoIHead, mmdet.CascadeRoIHead):
    """mmdet's CascadeRoIHead as a :class:`Float32RoIHead`."""


@MODELS.register_module()
class MSDeformAttnPixelDecoder(layers.MSDeformAttnPixelDecoder):
    """mmdet's pixel decoder of Mask2Former in float32, as in the authors' code.

    Remove it when mmdet's is so too.
    """

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Turn features (B, C_i, H_i, W_i) into mask features (B, C, H_0, W_0) and a list of maps,
        smallest first.
        """
        with torch.autocast(feats[0].device.type, enabled=False):
            return super().forward(make_float32(feats))


def make_float32(levels: Sequence[Tensor]) -> Tensors:
    """Cast feature maps (B, C, H_i, W_i) to contiguous float32."""
    return tuple(level.float().contiguous() for level in levels)
