"""Linear layers, computed by the faster of the two libraries that a CPU build of torch has for them."""

import functools
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .compiling import is_compiling, is_exporting

# Convolutions of smaller maps do not go to oneDNN.
LEAST = 20480
CPUINFO = Path('/proc/cpuinfo')


class Linear(nn.Linear):
    """``nn.Linear`` in all but speed: (..., in_features) to (..., out_features).

    torch gives float32 products of linear layers to MKL and convolutions to oneDNN. On processors that are not Intel's
    oneDNN is as fast or up to twice as fast, so there a linear layer is computed as the 1x1 convolution that it is.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        self.avoids_mkl = mkl_is_slow()

    def forward(self, x: Tensor) -> Tensor:
        # A graph, or a file, must not depend on how many tokens there are.
        if self.avoids_mkl and not (is_compiling() or is_exporting()) and suits_onednn(x):
            return linear_as_convolution(x, self.weight, self.bias)
        return super().forward(x)


def suits_onednn(x: Tensor) -> bool:
    """Whether a convolution of these tokens goes to oneDNN."""
    return x.device.type == 'cpu' and x.dtype == torch.float32 and x.numel() > LEAST


def linear_as_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer of tokens (..., C) as a 1x1 convolution of a channels-last map, without a copy."""
    tokens = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
    out = F.conv2d(tokens, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.shape[0])


@functools.cache
def mkl_is_slow() -> bool:
    """Whether torch's linear layers go to MKL on a processor of another maker than Intel."""
    return torch.backends.mkl.is_available() and CPUINFO.is_file() and 'GenuineIntel' not in CPUINFO.read_text()
