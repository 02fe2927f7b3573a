"""LoRA: train a low-rank update of a linear layer (arXiv 2106.09685)."""

import math

from torch import Tensor, nn

from .linear import Linear, apply_linear


class LoRALinear(Linear):
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
        return apply_linear(x, self.weight + self.lora_up @ self.lora_down, self.bias)
