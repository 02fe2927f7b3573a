"""LayerNorm in the precision of its weights."""

import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm(nn.LayerNorm):
    """``nn.LayerNorm`` that works in its weights' dtype: (..., C) to the same, under autocast in float32.

    So autocast does on GPUs. On a CPU torch would take half-precision maps as they come, and add up the gradients of
    the norm's weights in that precision, which loses most of them.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.to(self.weight.dtype), self.normalized_shape, self.weight, self.bias, self.eps)
