"""Attention as one more output of an exported network, for the page to draw.

Legend: h x w tokens of a stage's map, nW windows, N tokens of a window, nH heads.
"""

from torch import Tensor, nn

from ..models.layers import out_of_windows
from ..visualization.attention import window_of
from ..visualization.networks import recorded_inputs

NAME = 'attention'
# What of its dimensions changes from call to call.
DYNAMIC = {0: 'batch', 1: 'attention_height', 2: 'attention_width'}


class WithAttention(nn.Module):
    """A network whose last output is the attention that each token of a stage receives.

    Args:
        network: From images (B, 3, H, W) to a tensor, or a tuple of them.
        attn: The attention of a block in it, whose keys are the tokens of a map.
    """

    def __init__(self, network: nn.Module, attn: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.attn = attn

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images to the network's outputs, and behind them (B, h, w), means over heads and queries.

        Over the tokens of a window they sum to 1, those of padding included.
        """
        with recorded_inputs([self.attn]) as heard:
            outputs = self.network(images)
        outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
        return *outputs, received(self.attn, *heard[0])


def received(attn: nn.Module, x: Tensor, *more: Tensor) -> Tensor:
    """How much each token is attended to: the inputs of an attention, a map (B, h, w, C) first, to (B, h, w)."""
    size = x.shape[1:3]
    weights = attn.attention_weights(x, *more).mean((2, 3))
    return out_of_windows(weights.unsqueeze(-1), window_of(attn, size), size).squeeze(-1)
