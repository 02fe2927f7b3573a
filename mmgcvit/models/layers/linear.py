"""The linear layer of the networks, computed by the faster of torch's two CPU libraries.

Up to rounding, both libraries give the same results.
"""

import functools
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .tracing import is_tracing

# torch computes a 1x1 convolution with oneDNN if the input has more elements than this and there are several threads.
MIN_ONEDNN_ELEMENTS = 20480
CPUINFO = Path('/proc/cpuinfo')
HOOK_ATTRIBUTES = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')


class Linear(nn.Linear):
    """``nn.Linear``, computed by the faster of oneDNN and MKL: (..., C) to (..., C').

    On CPUs torch computes float32 linear layers with MKL and convolutions with oneDNN. With several threads, oneDNN is
    up to twice as fast on processors that are not Intel's, so there the layer is computed as a 1x1 convolution.
    """

    def forward(self, x: Tensor) -> Tensor:
        return apply_linear(x, self.weight, self.bias)


PLAIN_LAYERS = (Linear, nn.Linear, nn.Conv2d)


def apply_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute ``F.linear``; if oneDNN is faster, by a 1x1 convolution of a channels-last view of ``x``."""
    if is_tracing() or not is_onednn_faster() or not supports_onednn(x, weight):
        return F.linear(x, weight, bias)
    tokens = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
    out = F.conv2d(tokens, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.shape[0])


def supports_onednn(x: Tensor, weight: Tensor) -> bool:
    """Return whether torch would compute a 1x1 convolution of tokens ``x`` with this weight by oneDNN."""
    is_float32_on_cpu = all(tensor.device.type == 'cpu' and tensor.dtype == torch.float32 for tensor in (x, weight))
    is_large = x.numel() > MIN_ONEDNN_ELEMENTS and torch.get_num_threads() > 1
    return is_float32_on_cpu and is_large and type(weight) in (Tensor, nn.Parameter)


@functools.cache
def is_onednn_faster() -> bool:
    """Return whether torch's linear layers use MKL and the processor is not Intel's (says /proc/cpuinfo)."""
    return torch.backends.mkl.is_available() and CPUINFO.is_file() and 'GenuineIntel' not in CPUINFO.read_text()


def is_plain(layer: nn.Module) -> bool:
    """Return whether a layer may be computed from its weights without calling it.

    This holds for linear layers and convolutions that have no hooks, whose ``forward`` was not replaced, and whose
    weight is an ordinary tensor (not quantized, for example).
    """
    has_hooks = any(getattr(layer, name) for name in HOOK_ATTRIBUTES)
    has_plain_forward = type(layer) in PLAIN_LAYERS and 'forward' not in vars(layer) and not has_hooks
    return has_plain_forward and (is_tracing() or type(layer.weight) in (Tensor, nn.Parameter))
