"""Compute layers of the networks faster: by other kernels, or by algebra that a paper's text does
not show.

Results change by rounding at most. The commands apply :func:`speed_up` to a model that they have
built. Do not quantize the layers, add hooks to them, or wrap them in others (as peft does)
afterwards. A layer chooses its kernel itself only where torch's choice would stall training, as
gcvit/convs.py does on CUDA; what is merely faster, as oneDNN on CPUs, is here.
"""

import functools
from typing import Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..host.private_api import get_mkl_branch
from .base import PyramidBackbone
from .layers.blocks import cast_for_autocast, nchw_to_nhwc, nhwc_to_nchw
from .layers.position import RelativePositionBias
from .layers.tracing import is_tracing
from .lsa.attention import ShiftAttention

# With smaller inputs (2.5 MiB) or fewer rows oneDNN's rearranging of weights and results takes longer
# than its products save (docs/performance.md).
MIN_ONEDNN_ELEMENTS = 640 * 1024
MIN_ONEDNN_ROWS = 512
FIRST_AVX512_BRANCH = 11  # of MKL's numbers of instruction sets
# Which library computes linear layers on CPUs: ``env_cfg.linear_kernel`` of a config
LinearKernel = Literal['mkl', 'onednn']


def speed_up(model: nn.Module, linear_kernel: LinearKernel | None = None) -> None:
    """Replace the class of layers by a faster subclass, in place, in all of this package's
    backbones in a model.

    Parameters, keys of the state dict and hooks stay.

    Args:
        model: A backbone, or a model with some.
        linear_kernel: Which library computes linear layers on CPUs, 'mkl' (torch's choice) or
            'onednn'. None: the faster one by the processor's instruction sets.

    Raises:
        UserError: for another ``linear_kernel``.
    """
    is_onednn = choose_linear_kernel(linear_kernel) == 'onednn'
    for backbone in model.modules():
        if isinstance(backbone, PyramidBackbone):
            for module in backbone.modules():
                # The algebra uses the layer's weight, and would leave out LoRA.
                if type(module) is ShiftAttention and type(module.kv) is nn.Linear:
                    module.__class__ = AbsorbedShiftAttention
                if type(module) is RelativePositionBias:
                    module.__class__ = UnfoldedPositionBias
                if type(module) is nn.Linear and is_onednn:
                    module.__class__ = OneDNNLinear


class OneDNNLinear(nn.Linear):
    """``nn.Linear``, computed by oneDNN instead of MKL: (..., C) to (..., C').

    On CPUs torch computes float32 linear layers with MKL and convolutions with oneDNN, so here the
    layer is computed as a 1x1 convolution.
    """

    def forward(self, x: Tensor) -> Tensor:
        is_plain = not is_tracing() and type(self.weight) is nn.Parameter
        is_float32_on_cpu = x.dtype == torch.float32 and x.device.type == 'cpu'
        is_large = x.numel() > max(MIN_ONEDNN_ELEMENTS, MIN_ONEDNN_ROWS * x.shape[-1])
        has_threads = torch.get_num_threads() > 1
        if not (is_plain and is_float32_on_cpu and is_large and has_threads):
            return super().forward(x)
        tokens = nhwc_to_nchw(x.reshape(1, 1, -1, x.shape[-1]))
        out = F.conv2d(tokens, self.weight[:, :, None, None], self.bias)
        return nchw_to_nhwc(out).reshape(*x.shape[:-1], self.weight.shape[0])


def choose_linear_kernel(linear_kernel: str | None = None) -> LinearKernel:
    """Return which library computes linear layers on CPUs: the one that is named, or else the
    faster one.

    Raise a UserError for a name that is none.
    """
    allowed = get_args(LinearKernel)
    if linear_kernel is None:
        return 'onednn' if is_onednn_faster() else 'mkl'
    if linear_kernel not in allowed:
        raise UserError(
            f'env_cfg.linear_kernel is {linear_kernel!r}. Choose one of {", ".join(allowed)}, or '
            "remove it for the faster one by this processor's instruction sets"
        )
    return cast(LinearKernel, linear_kernel)


@functools.cache
def is_onednn_faster() -> bool:
    """Return whether oneDNN uses AVX-512 on this processor, and MKL does not.

    On a processor of another maker than Intel, MKL uses AVX2 at most. Measured ratios are in
    docs/performance.md: where both use the same instructions, MKL trains faster. The choice is not
    measured in each process, since a resumed run would then not compute bit for bit what it
    computed before.
    """
    if not torch.backends.mkl.is_available():
        return False
    onednn_has_avx512 = torch.backends.cpu.get_cpu_capability() == 'AVX512'
    branch = get_mkl_branch()
    mkl_lacks_avx512 = branch is not None and branch < FIRST_AVX512_BRANCH
    return onednn_has_avx512 and mkl_lacks_avx512


class UnfoldedPositionBias(RelativePositionBias):
    """:class:`RelativePositionBias` whose gradient is summed faster on CPUs.

    The bias is a window that slides over the table: no index, whose gradient torch adds number by
    number on one thread. Without a gradient the index is faster.
    """

    def forward(self) -> Tensor:
        table = self.relative_position_bias_table
        needs_gradient = torch.is_grad_enabled() and table.requires_grad
        if not needs_gradient or table.device.type != 'cpu' or is_tracing():
            return super().forward()
        h, w = self.window_size
        grid = table.t().unflatten(1, self.grid)  # (nH, 2h-1, 2w-1)
        # (nH, query's y, query's x, key's y, key's x), keys in reverse: a larger y or x of the key
        # is a smaller offset.
        reversed_bias = grid.unfold(1, h, 1).unfold(2, w, 1)
        return cast_for_autocast(reversed_bias.flip(-2, -1).flatten(3).flatten(1, 2))


class AbsorbedShiftAttention(ShiftAttention):
    """:class:`ShiftAttention` without keys and values of the T copies.

    It is cheaper to project one query and one result per patch than T copies. The key projection is
    applied to the query: q (Wk x) = (q Wk) x. The value projection is applied to the weighted sum
    of the copies, since projection and sum are linear and the weights sum to 1. The bias of the
    keys adds the same number to all scores of a patch, which softmax cancels.
    """

    def forward(self, copies: Tensor) -> Tensor:
        """Apply attention to the copies of each patch: (T, ..., C) to (..., C)."""
        patches = copies.flatten(1, -2)  # (T, M, C)
        key_weight, value_weight = self.kv.weight.unflatten(0, (2, self.num_kv_heads, -1)).unbind()
        _, value_bias = self.kv.bias.unflatten(0, (2, self.num_kv_heads, 1, -1)).unbind()
        q = self.q(patches[0]).unflatten(-1, (self.num_heads, -1))
        scaled = q * q.shape[-1] ** -0.5
        projected_q = self.ungroup_heads(self.group_heads(scaled) @ key_weight)  # (M, nH, C)
        scores = projected_q @ patches.permute(1, 2, 0)  # (M, nH, T)
        weighted_sums = self.group_heads(scores.softmax(-1) @ patches.transpose(0, 1))
        out = torch.baddbmm(
            value_bias, weighted_sums, value_weight.transpose(1, 2)
        )  # (nKV, M*G, d)
        return self.proj(self.ungroup_heads(out).flatten(1)).unflatten(0, copies.shape[1:-1])

    def group_heads(self, x: Tensor) -> Tensor:
        """Group query heads by the key/value head that they share: (M, nH, n) to (nKV, M*G, n), for
        any n.
        """
        return x.unflatten(1, (self.num_kv_heads, -1)).transpose(0, 1).flatten(1, 2)

    def ungroup_heads(self, x: Tensor) -> Tensor:
        """Undo :meth:`group_heads`: (nKV, M*G, n) to (M, nH, n)."""
        group_size = self.num_heads // self.num_kv_heads
        return x.unflatten(1, (-1, group_size)).transpose(0, 1).flatten(1, 2)
