"""A segmentor as a graph."""

import torch.nn.functional as F
from mmseg.models import EncoderDecoder
from torch import Tensor, nn

from ..inference import UserError
from .pooling import with_traceable_pooling


class SegmentorGraph(nn.Module):
    """A segmentor of mmseg's.

    Args:
        model: In eval mode.

    Raises:
        UserError: It is no EncoderDecoder, looks at an image piece by piece, pads it in tests, or has one channel for
            two classes.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if type(model) is not EncoderDecoder:
            raise UserError(f'the segmentor is a {type(model).__name__}; exported is EncoderDecoder')
        if model.test_cfg.mode != 'whole':
            raise UserError(
                f'the segmentor is tested in mode {model.test_cfg.mode!r}; exported is whole: '
                "model.test_cfg=dict(mode='whole') in the config"
            )
        padding = model.data_preprocessor.test_cfg or {}
        if padding.get('size') or padding.get('size_divisor'):
            raise UserError(
                f'the segmentor pads images in tests (data_preprocessor.test_cfg={dict(padding)}); exported are '
                'segmentors that take them as they are'
            )
        if model.decode_head.out_channels == 1:
            raise UserError(
                'the segmentor has one channel and a threshold for two classes; exported are a channel for each class'
            )
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = with_traceable_pooling(model.decode_head)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) to logits (B, K, H, W)."""
        logits = self.head(self.neck(self.backbone(images)))
        corners = {'mode': 'bilinear', 'align_corners': self.head.align_corners}
        return F.interpolate(logits, size=images.shape[2:], **corners)
