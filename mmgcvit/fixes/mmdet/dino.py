"""DINO as mmdet 3.3.0 has it, with a transformer in float32."""

import torch
from mmdet import models as mmdet
from mmdet.models import layers
from mmdet.structures import SampleList
from torch import Tensor

from ...registry import MODELS
from .mixed_precision import make_float32


class RefPointHead(layers.MLP):
    """MLP from encoded reference boxes to positional queries, as in the authors' DINO, mmdet 3.3.0
    and detrex.

    mmdet 3.3.0 encodes each coordinate of a box as C / 2 features (128 for 256 channels). Its
    maintained fork, onedl-mmdetection 3.5.1, encodes each as C features (issue 25 of the fork), so
    that released weights do not fit. This class selects every second frequency, as mmdet 3.3.0 has.
    Remove it when the fork encodes like mmdet 3.3.0.
    """

    def __init__(self, channels: int):
        super().__init__(
            input_dim=2 * channels, hidden_dim=channels, output_dim=channels, num_layers=2
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map sine encodings (B, n, 4 * F) of boxes to queries (B, n, C).

        F is C / 2 or a multiple of C / 2.
        """
        # The last dimension is a sine and a cosine of one frequency.
        frequencies = x.unflatten(-1, (4, -1, 2))
        step = x.shape[-1] // self.layers[0].in_features
        return super().forward(frequencies[..., ::step, :].flatten(-3))


@MODELS.register_module()
class DINO(mmdet.DINO):
    """mmdet's DINO with :class:`RefPointHead`. It trains its transformer and head in float32 even
    with AMP.

    Remove this class when :class:`RefPointHead` is removed and mmcv's deformable attention supports
    bfloat16.
    """

    def _init_layers(self) -> None:
        super()._init_layers()
        self.decoder.ref_point_head = RefPointHead(self.embed_dims)

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Return the losses, by name, of images (B, 3, H, W) with ground truth."""
        feats = self.extract_feat(batch_inputs)
        with torch.autocast(batch_inputs.device.type, enabled=False):
            head_inputs = self.forward_transformer(make_float32(feats), batch_data_samples)
            return self.bbox_head.loss(**head_inputs, batch_data_samples=batch_data_samples)
