"""Parts of detectors that must compute in float32 while the rest trains in mixed precision.

mmcv's operators on GPUs (RoIAlign, sigmoid focal loss, multi-scale deformable attention) have no bfloat16, and mmdet
takes anchors and RoIs in the precision of the maps, where bfloat16 has steps of 4 px at 1000 px. To be removed once
they no longer do.
"""

import torch
from mmdet import models as mmdet
from mmdet.structures import SampleList
from torch import Tensor

from ..registry import MODELS


@MODELS.register_module()
class RPNHead(mmdet.RPNHead):
    """mmdet's, with predictions, and so anchors and proposals, in float32."""

    def forward(self, x: tuple[Tensor, ...]) -> tuple[list[Tensor], ...]:
        """Maps (B, C, H_i, W_i) to scores (B, A, H_i, W_i) and box deltas (B, 4A, H_i, W_i) of A anchors a place."""
        return tuple([prediction.float() for prediction in levels] for levels in super().forward(x))


@MODELS.register_module()
class SingleRoIExtractor(mmdet.SingleRoIExtractor):
    """mmdet's, in float32."""

    def forward(self, feats: tuple[Tensor, ...], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Maps (B, C, H_i, W_i) and RoIs (n, 5) of image index and corners in pixels to (n, C, h, w)."""
        with torch.autocast(rois.device.type, enabled=False):
            return super().forward(tuple(x.float() for x in feats), rois.float(), roi_scale_factor)


@MODELS.register_module()
class DINO(mmdet.DINO):
    """mmdet's, of which only backbone and neck train in mixed precision; transformer and head in float32."""

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Images (B, 3, H, W) and their truth to losses by name."""
        maps = self.extract_feat(batch_inputs)
        with torch.autocast(batch_inputs.device.type, enabled=False):
            found = self.forward_transformer(tuple(x.float() for x in maps), batch_data_samples)
            return self.bbox_head.loss(**found, batch_data_samples=batch_data_samples)
