"""LoRA (arXiv 2106.09685) in the linear layers of a backbone's attention.

A checkpoint's LoRA matrices are merged into its weights by
``mmgcvit.checkpoints.weights.merge_lora``.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn


class LoRALinear(nn.Linear):
    """A linear layer (..., C) to (..., C') with weight W + B A. Only A and B are trained.

    W and the bias are those of the layer, with the same keys in the state dict. A
    (``lora_down``, rank x C) is initialised as in the paper's code, B (``lora_up``, C' x rank) with
    zeros. The paper's factor alpha / rank is 1, as in mmpretrain's config. Each call adds B A to W,
    so that merged weights give the same output bit for bit, except under autocast.

    mmpretrain's ``LoRAModel`` and peft wrap layers in other modules, which changes the keys of the
    state dict. Loading of checkpoints and layer-wise learning rate decay need the original keys.
    """

    def add_factors(self, rank: int) -> None:
        """Add A and B to a layer that was ``nn.Linear``."""
        self.lora_down = nn.Parameter(self.weight.new_empty(rank, self.in_features))
        self.lora_up = nn.Parameter(self.weight.new_zeros(self.out_features, rank))
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
            for layer in block.attn.children():
                if isinstance(layer, nn.Linear):
                    layer.__class__ = LoRALinear  # in place, as in ../speed_up.py
                    layer.add_factors(rank)
