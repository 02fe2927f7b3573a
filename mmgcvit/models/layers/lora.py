"""LoRA (arXiv 2106.09685): low-rank matrices beside the linear layers of a backbone's blocks.

Checkpoints with these matrices are read by ``mmgcvit/checkpoints/lora.py``.
"""

import math
import re

import torch.nn.functional as F
from torch import Tensor, nn

# The names of parameters that are trained with LoRA: its matrices, and the output norms, which are
# new layers where the weights come from a classifier.
TRAINED_WITH_LORA = re.compile(r'(.+\.)?lora_(down|up)|norm\d+\.\w+')


class LoRALinear(nn.Linear):
    """A linear layer (..., C) to (..., C') with two low-rank matrices: (W + B A) x + b.

    W and b are those of ``layer``, under the same names. A (``lora_down``, (rank, C)) is
    initialised as in the paper's code, B (``lora_up``, (C', rank)) with zeros, so that at first the
    output is that of ``layer``. Merged weights W + B A give the same output bit for bit, except
    under autocast and on another device. The paper's factor alpha / rank is 1, as in mmpretrain's
    config.

    mmpretrain's ``LoRAModel`` and peft put a layer into another module, which changes the keys of
    its weights. Reading of checkpoints and layer-wise learning rate decay need these keys.
    """

    def __init__(self, layer: nn.Linear, rank: int):
        has_bias = layer.bias is not None
        # On the meta device no memory and no random numbers are used for a weight that is replaced.
        super().__init__(layer.in_features, layer.out_features, has_bias, device='meta')
        self.weight = layer.weight
        self.bias = layer.bias
        self.lora_down = nn.Parameter(layer.weight.new_empty(rank, layer.in_features))
        self.lora_up = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        # For thousands of tokens with few channels, one product with W + B A is faster than two
        # more products of all tokens and a sum.
        return F.linear(x, self.weight + self.lora_up @ self.lora_down, self.bias)


def add_lora(block: nn.Module, rank: int) -> None:
    """Replace the linear layers of a block's attention and MLP by :class:`LoRALinear`."""
    attn = block.get_submodule('attn')
    mlp = block.get_submodule('mlp')
    for parent in [*attn.modules(), *mlp.modules()]:
        for name, layer in list(parent.named_children()):
            if type(layer) is nn.Linear:  # a subclass may compute something else
                setattr(parent, name, LoRALinear(layer, rank))


def freeze_all_but_lora(backbone: nn.Module) -> None:
    """Freeze the parameters of a backbone but its LoRA matrices and output norms.

    Set batch norms, which an ablation variant has, to eval mode, so that they keep their
    statistics.
    """
    for name, parameter in backbone.named_parameters():
        if not TRAINED_WITH_LORA.fullmatch(name):
            parameter.requires_grad_(False)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
