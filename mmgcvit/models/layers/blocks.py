"""Layers of a transformer block other than attention: LayerNorm, MLP, layer scale, drop path, LoRA;
initialisation.

Shapes: B batch, H x W feature map, C = ``embed_dims`` channels. Maps are channels-last (B, H, W,
    C).
"""

import math
from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arguments import check_int


def cast_for_autocast(x: Tensor) -> Tensor:
    """Cast a tensor to the dtype in which autocast computes linear layers.

    Autocast leaves float64 as it is.
    """
    device_type = x.device.type
    if x.dtype == torch.float64 or device_type == 'meta':  # the meta device has no autocast
        return x
    if hasattr(torch, 'get_autocast_dtype'):
        return (
            x.to(torch.get_autocast_dtype(device_type))
            if torch.is_autocast_enabled(device_type)
            else x
        )
    if device_type == 'cpu':  # torch 2.1 to 2.3
        return x.to(torch.get_autocast_cpu_dtype()) if torch.is_autocast_cpu_enabled() else x
    return x.to(torch.get_autocast_gpu_dtype()) if torch.is_autocast_enabled() else x


class LayerNorm(nn.LayerNorm):
    """``nn.LayerNorm`` computed in the dtype of its weights, which is float32 under autocast: (...,
    C) to the same.

    On GPUs autocast does the same. On CPUs torch would compute in half precision. It would also
    accumulate the weight gradients in half precision, where rounding loses most of their sum.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(
            x.to(self.weight.dtype), self.normalized_shape, self.weight, self.bias, self.eps
        )


class Mlp(nn.Module):
    """Two linear layers with an exact (erf) GELU on the ``hidden_dims`` channels between them:
    (..., C) to (..., C).
    """

    def __init__(self, embed_dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dims, hidden_dims)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class LayerScale(nn.Module):
    """Multiply each channel by a learned factor, ``gamma`` (C,): (..., C) to the same (CaiT, arXiv
    2103.17239).
    """

    def __init__(self, embed_dims: int, init_value: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((embed_dims,), init_value))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma.to(x.dtype)


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): (B, ...) to the same.

    In training, multiply each image by 0 with probability p = ``drop_prob``, else by 1 / (1-p).
    """

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob
        # A tensor, since torch.compile would compile a block for each value of a number.
        self.register_buffer('keep_prob', torch.tensor(1 - drop_prob), persistent=False)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        # If the model was built on the meta device, the buffer is still there, or uninitialised
        # after to_empty().
        device = 'cpu' if self.keep_prob.is_meta else self.keep_prob.device
        self.keep_prob = torch.full_like(self.keep_prob, 1 - self.drop_prob, device=device)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep_prob = self.keep_prob.to(x.device)
        is_kept = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep_prob)
        return x * (is_kept / keep_prob)


def make_branch_end(
    embed_dims: int, layer_scale: float | None, drop_path_rate: float
) -> nn.Sequential:
    """Make what ends the branches of a block: layer scale (none if it is None), then drop path
    (none if it is 0).

    ``layer_scale`` is an initial value, ``drop_path_rate`` the probability of dropping an image's
    branch in training.
    """
    scale = nn.Identity() if layer_scale is None else LayerScale(embed_dims, layer_scale)
    drop_path = DropPath(drop_path_rate) if drop_path_rate else nn.Identity()
    return nn.Sequential(OrderedDict(layer_scale=scale, drop_path=drop_path))


def init_transformer_weights(
    module: nn.Module, layer_types: tuple[type, ...] = (nn.Linear,)
) -> None:
    """Initialise one module if it is of these types, for use with ``Module.apply``.

    Weights get a truncated normal distribution with standard deviation 0.02, biases 0. Other layers
    keep torch's default, and position biases and embeddings initialise themselves.
    """
    if isinstance(module, layer_types):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def add_lora(network: nn.Module, lora_rank: int) -> int:
    """Freeze a backbone and add LoRA of this rank to the linear layers of its blocks' attention. 0
    does nothing.

    Return the rank as an int; raise a ValueError if it is not an int of at least 0.
    """
    lora_rank = check_int('lora_rank', lora_rank, 0)
    if lora_rank:
        network.requires_grad_(False)
        for attn in [block.attn for stage in network.stages for block in stage.blocks]:
            for name, layer in attn.named_children():
                if isinstance(layer, nn.Linear):
                    setattr(attn, name, LoRALinear(layer, lora_rank))
    return lora_rank


class LoRALinear(nn.Linear):
    """LoRA (arXiv 2106.09685): a linear layer (..., C) to (..., C') with weight W + B A. Only A and
    B are trained.

    W and the bias are those of the replaced layer, with the same keys in the state dict. A
    (``lora_down``, rank x C) is initialised as in the paper's code, B (``lora_up``, C' x rank) with
    zeros. The paper's factor alpha / rank is 1, as in mmpretrain's config. Each call adds B A to W,
    so that merged weights give the same output bit for bit, except under autocast.

    mmpretrain's ``LoRAModel`` and peft wrap layers in other modules, which changes the keys of the
    state dict. Loading of checkpoints and layer-wise learning rate decay need the original keys.
    """

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__(
            layer.in_features, layer.out_features, bias=layer.bias is not None, device='meta'
        )
        self.weight, self.bias = layer.weight, layer.bias
        self.lora_down = nn.Parameter(layer.weight.new_empty(rank, layer.in_features))
        self.lora_up = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight + self.lora_up @ self.lora_down, self.bias)
