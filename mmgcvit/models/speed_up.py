"""Compute layers of the networks faster: by other kernels, or by algebra that a paper's text does
not show.

Results change by rounding at most. The runner of the engine and ``mmgcvit.load`` apply
:func:`speed_up` to a model that they have built. A layer chooses its kernel itself only where
torch's choice would stall training, as gcvit/cuda_convs.py does; what is merely faster, as oneDNN
on CPUs, is here.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from .base import PyramidBackbone
from .layers.autocast import cast_for_autocast
from .layers.layouts import nchw_to_nhwc, nhwc_to_nchw
from .layers.position import RelativePositionBias
from .layers.tracing import is_tracing
from .lsa.attention import ShiftAttention

# With smaller inputs (2.5 MiB) or fewer rows oneDNN's rearranging of weights and results takes
# longer than its products save (docs/performance.md).
MIN_ONEDNN_ELEMENTS = 640 * 1024
MIN_ONEDNN_ROWS = 512
# Which library computes linear layers on CPUs: ``env_cfg.linear_kernel`` of a config. MKL is
# torch's own choice, so the default is nowhere slower than torch. oneDNN makes networks 1.1 to 1.2
# times as fast where it has AVX-512 and MKL has not (other makers than Intel), and trains slower
# elsewhere (docs/performance.md).
LINEAR_KERNELS = ('mkl', 'onednn')
DEFAULT_LINEAR_KERNEL = 'mkl'


def speed_up(model: nn.Module, linear_kernel: str | None = None) -> None:
    """Replace layers by faster ones, in place, in all of this package's backbones in a model.

    The new layers have the parameters of the old ones, under the same keys of the state dict. Hooks
    of a replaced layer are lost, so add hooks, and wrap or quantize layers, afterwards.
    :class:`AbsorbedShiftAttention` uses the weight of its layer ``kv`` without calling it, so
    neither hooks nor quantization of that layer, nor a LoRA that peft adds to it, have an effect.

    Args:
        model: A backbone, or a model with some, before a wrapper for several GPUs (as FSDP) refers
            to its layers.
        linear_kernel: Which library computes linear layers on CPUs, 'mkl' (torch's choice) or
            'onednn'. None: :data:`DEFAULT_LINEAR_KERNEL`.

    Raises:
        UserError: for another ``linear_kernel``.
    """
    is_onednn = choose_linear_kernel(linear_kernel) == 'onednn'
    for module in model.modules():
        if isinstance(module, PyramidBackbone):
            replace_layers(module, is_onednn)


def choose_linear_kernel(linear_kernel: str | None = None) -> str:
    """Return which library computes linear layers on CPUs: the one that is named, or else the
    default.

    Raise a UserError for a name that is none.
    """
    if linear_kernel is None:
        return DEFAULT_LINEAR_KERNEL
    if linear_kernel not in LINEAR_KERNELS:
        raise UserError(
            f'env_cfg.linear_kernel is {linear_kernel!r}. Choose one of '
            f'{", ".join(LINEAR_KERNELS)}, or remove it for {DEFAULT_LINEAR_KERNEL}'
        )
    return linear_kernel


def replace_layers(parent: nn.Module, is_onednn: bool) -> None:
    """Replace the layers in a module by faster ones."""
    for name, layer in list(parent.named_children()):
        faster = make_faster(layer, is_onednn)
        if faster is not layer:
            setattr(parent, name, faster.train(layer.training))
        replace_layers(faster, is_onednn)


def make_faster(layer: nn.Module, is_onednn: bool) -> nn.Module:
    """Return a faster layer with the same parameters, or the layer itself if there is none.

    Subclasses may compute something else, so they stay as they are: among them are layers with
    LoRA, and layers that are fast already.
    """
    # The algebra uses the weight of ``kv``, and would leave out LoRA.
    if type(layer) is ShiftAttention and type(layer.kv) is nn.Linear:
        return AbsorbedShiftAttention(layer)
    if type(layer) is RelativePositionBias:
        return UnfoldedPositionBias(layer)
    if type(layer) is nn.Linear and is_onednn:
        return OneDNNLinear(layer)
    return layer


class OneDNNLinear(nn.Linear):
    """``nn.Linear``, computed by oneDNN instead of MKL: (..., C) to (..., C').

    On CPUs torch computes float32 linear layers with MKL and convolutions with oneDNN, so here the
    layer is computed as a 1x1 convolution. The parameters are those of ``layer``.
    """

    def __init__(self, layer: nn.Linear):
        has_bias = layer.bias is not None
        # On the meta device no memory and no random numbers are used for what is replaced.
        super().__init__(layer.in_features, layer.out_features, has_bias, device='meta')
        self.weight = layer.weight
        self.bias = layer.bias

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


class UnfoldedPositionBias(RelativePositionBias):
    """:class:`RelativePositionBias` whose gradient is summed faster on CPUs.

    The bias is a window that slides over the table: no index, whose gradient torch adds number by
    number on one thread. Without a gradient the index is faster. The table is that of ``layer``.
    """

    def __init__(self, layer: RelativePositionBias):
        with torch.device('meta'):
            super().__init__(layer.window_size, layer.relative_position_bias_table.shape[1])
        self.relative_position_bias_table = layer.relative_position_bias_table
        self.index = layer.index

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
    keys adds the same number to all scores of a patch, which softmax cancels. The linear layers are
    those of ``layer``.
    """

    def __init__(self, layer: ShiftAttention):
        with torch.device('meta'):
            super().__init__(layer.q.in_features, layer.num_heads, layer.num_kv_heads)
        self.q = layer.q
        self.kv = layer.kv
        self.proj = layer.proj

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
        values = torch.baddbmm(value_bias, weighted_sums, value_weight.transpose(1, 2))
        attended = self.ungroup_heads(values).flatten(1)  # (nKV, M*G, d) to (M, C)
        return self.proj(attended).unflatten(0, copies.shape[1:-1])

    def group_heads(self, x: Tensor) -> Tensor:
        """Group query heads by the key/value head that they share: (M, nH, n) to (nKV, M*G, n), for
        any n.
        """
        return x.unflatten(1, (self.num_kv_heads, -1)).transpose(0, 1).flatten(1, 2)

    def ungroup_heads(self, x: Tensor) -> Tensor:
        """Undo :meth:`group_heads`: (nKV, M*G, n) to (M, nH, n)."""
        group_size = self.num_heads // self.num_kv_heads
        return x.unflatten(1, (-1, group_size)).transpose(0, 1).flatten(1, 2)
