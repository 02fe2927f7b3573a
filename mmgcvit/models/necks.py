"""The neck of small classifiers: strip pooling of all feature maps."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..registry import MODELS
from .layers.arguments import are_ints, is_sequence, require


@MODELS.register_module()
class StripPooling(nn.Module):
    """Average each feature map over its rows and over its columns (strip pooling,
    https://arxiv.org/abs/2003.13328), and concatenate the averages of all maps.

    Global average pooling of the last map, the usual neck, drops where something is, and the fine
    structures that only the first maps show. A linear head on strips can use both.

    Args:
        num_strips: The number of strips for each feature map, which are as many bands of equal
            height and as many of equal width.
    """

    def __init__(self, num_strips: Sequence[int]):
        super().__init__()
        is_valid = is_sequence(num_strips) and are_ints(num_strips, len(num_strips), 1)
        expected = 'a list of ints of at least 1, one per feature map'
        require('num_strips', num_strips, bool(num_strips) and is_valid, expected)
        self.num_strips = tuple(num_strips)

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Return the averages (B, sum of 2 * C_i * num_strips_i) of feature maps (B, C_i, H_i,
        W_i).

        They are in a tuple, as mmpretrain's heads take their inputs.
        """
        pooled = []
        for x, number in zip(maps, self.num_strips, strict=True):
            rows = average_bands(x.mean(3), number)
            columns = average_bands(x.mean(2), number)
            pooled += [rows.flatten(1), columns.flatten(1)]
        return (torch.cat(pooled, 1),)


def average_bands(x: Tensor, number: int) -> Tensor:
    """Average values (B, C, L) over ``number`` bands of equal length. Return (B, C, number).

    A value that lies in two bands counts in each by its part there, so any length is allowed.
    A matrix product is exported for any length; adaptive pooling is not.
    """
    length = x.shape[2]
    starts = torch.arange(length, device=x.device, dtype=torch.float32)[:, None]
    edges = torch.arange(number + 1, device=x.device, dtype=torch.float32) * (length / number)
    ends = torch.minimum(starts + 1, edges[1:])
    overlaps = (ends - torch.maximum(starts, edges[:-1])).clamp(min=0)  # (L, number)
    return x @ (overlaps * (number / length)).to(x.dtype)
