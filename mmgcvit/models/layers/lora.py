"""LoRA (arXiv 2106.09685) in the linear layers of a backbone's attention.

A checkpoint's LoRA matrices are merged into its weights by
``mmgcvit.checkpoints.weights.merge_lora``.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn


class LoRALinear(nn.Linear):
    """A linear layer (..., C) to (..., C') with weight W + B A. Only A and B are trained.

    W and the bias are those of the replaced layer, with the same keys in the state dict. A
    (``lora_down``, rank x C) is initialised as in the paper's code, B (``lora_up``, C' x rank) with
    zeros. The paper's factor alpha / rank is 1, as in mmpretrain's config. Each call adds B A to W,
    so that merged weights give the same output bit for bit, except under autocast.

    mmpretrain's ``LoRAModel`` and peft wrap layers in other modules, which changes the keys of the
    state dict. Loading of checkpoints and layer-wise learning rate decay need the original keys.
    """

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        has_bias = layer.bias is not None
        super().__init__(layer.in_features, layer.out_features, has_bias, device='meta')
        self.weight, self.bias = layer.weight, layer.bias
        self.lora_down = nn.Parameter(layer.weight.new_empty(rank, layer.in_features))
        self.lora_up = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight + self.lora_up @ self.lora_down, self.bias)


def add_lora(network: nn.Module, rank: int) -> None:
    """Freeze a backbone, and add LoRA to the linear layers of its blocks' attention. Rank 0 does
    nothing.
    """
    if rank == 0:
        return
    network.requires_grad_(False)
    for stage in network.stages:
        for block in stage.blocks:
            for name, layer in block.attn.named_children():
                if isinstance(layer, nn.Linear):
                    setattr(block.attn, name, LoRALinear(layer, rank))
