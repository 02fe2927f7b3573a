"""LoRA (arXiv 2106.09685): of a linear layer a low-rank addition to its weight is trained, and nothing else.

Not by mmpretrain's ``LoRAModel`` or peft, which learn on these backbones too: both put layers into others, mmpretrain's
the backbone as well, so that a model's weights have names that neither its checkpoints nor layer decay know.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn


class LoRALinear(nn.Linear):
    """A linear layer with the weight W + B A: (..., C) to (..., C').

    W and the bias are those of a layer that it replaces, under the same names. A (``lora_down``, rank x C) begins as in
    the paper's code, B (``lora_up``, C' x rank) as zero. The paper's factor alpha / rank is 1, as in mmpretrain's
    config. The sum is made at each call: a plain layer with it as its weight gives the same to the bit.
    """

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=layer.bias is not None, device='meta')
        self.weight, self.bias = layer.weight, layer.bias
        self.lora_down = nn.Parameter(layer.weight.new_empty(rank, layer.in_features))
        self.lora_up = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight + self.lora_up @ self.lora_down, self.bias)
