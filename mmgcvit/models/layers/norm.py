"""LayerNorm in the precision of its weights."""

import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm(nn.LayerNorm):
    """``nn.LayerNorm`` in its weights' dtype, under autocast in float32: (..., C) to the same.

    As autocast does on GPUs. On CPUs torch would compute in the input's half precision and sum the weights' gradients
    in it, which loses most of them.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.to(self.weight.dtype), self.normalized_shape, self.weight, self.bias, self.eps)
