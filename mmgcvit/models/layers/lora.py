"""LoRA: train a low-rank update of a linear layer (arXiv 2106.09685)."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from .arguments import check_int
from .blocks import TransformerBlock


def add_lora(network: nn.Module, lora_rank: int) -> int:
    """Freeze a network and add LoRA of this rank to the linear layers of its blocks' attention. 0 does nothing.

    Return the rank as an int; raise a ValueError if it is not an int of at least 0.
    """
    lora_rank = check_int('lora_rank', lora_rank, 0)
    if lora_rank:
        network.requires_grad_(False)
        for attn in [module.attn for module in network.modules() if isinstance(module, TransformerBlock)]:
            for name, layer in attn.named_children():
                if isinstance(layer, nn.Linear):
                    setattr(attn, name, LoRALinear(layer, lora_rank))
    return lora_rank


class LoRALinear(nn.Linear):
    """Linear layer with weight W + B A, of which only A and B are trained: (..., C) to (..., C').

    W and the bias are those of the replaced layer, with the same keys in the state dict. A (``lora_down``, rank x C) is
    initialised as in the paper's code, B (``lora_up``, C' x rank) with zeros. The paper's factor alpha / rank is 1, as
    in mmpretrain's config. Each call adds B A to W, so that merged weights give the same output bit for bit, except
    under autocast.

    mmpretrain's ``LoRAModel`` and peft wrap layers in other modules, which changes the keys of the state dict. Loading
    of checkpoints and layer-wise learning rate decay need the original keys.
    """

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=layer.bias is not None, device='meta')
        self.weight, self.bias = layer.weight, layer.bias
        self.lora_down = nn.Parameter(layer.weight.new_empty(rank, layer.in_features))
        self.lora_up = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight + self.lora_up @ self.lora_down, self.bias)
