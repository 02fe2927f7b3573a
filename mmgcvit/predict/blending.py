"""Blend the logits of a large image's overlapping tiles to one segmentation map.

In an overlap, the weight of a tile falls smoothly to nearly 0 at its edge, so that no seam is seen.
The logits of all classes are kept only for one row of tiles, since those of a whole large image
would need gigabytes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .tile_sizes import place_tiles

# Compute the logits (classes, height, width) of each of several tiles (height, width, 3), which
# have one size.
ComputeLogits = Callable[[Sequence[NDArray[np.uint8]]], Sequence[Tensor]]
# Return the class (height, width) of each pixel by its logits (classes, height, width).
ChooseClasses = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Span:
    """The pixels of a tile along one axis of the image."""

    start: int
    weights: Tensor  # (pixels,) float32. At each pixel, those of all tiles add up to 1.

    @property
    def pixels(self) -> slice:
        return slice(self.start, self.start + len(self.weights))


def weigh_tiles(length: int, side: int) -> list[Span]:
    """Return the tiles along an axis with their weights, which are a squared sine of the position
    in a tile before they are divided by their sum.
    """
    positions = (torch.arange(min(length, side)) + 0.5) / side
    window = torch.sin(math.pi * positions) ** 2
    total = torch.zeros(length)
    starts = place_tiles(length, side)
    for start in starts:
        total[start : start + side] += window
    return [Span(start, window / total[start : start + side]) for start in starts]


def segment_in_tiles(
    image: NDArray[np.uint8],
    side: int,
    tiles_per_batch: int,
    compute_logits: ComputeLogits,
    choose_classes: ChooseClasses,
) -> NDArray[np.int32]:
    """Return the class (height, width) of each pixel of an image (height, width, 3).

    ``side`` is that of the tiles in pixels. Memory is needed for the logits of ``side`` rows of the
    image.
    """
    height, width = image.shape[:2]
    rows = weigh_tiles(height, side)
    columns = weigh_tiles(width, side)
    ends = [*(row.start for row in rows[1:]), height]
    label_map = np.empty((height, width), np.int32)
    band: Tensor | None = None
    for row, end in zip(rows, ends, strict=True):
        for begin in range(0, len(columns), tiles_per_batch):
            batch = columns[begin : begin + tiles_per_batch]
            tiles = [image[row.pixels, column.pixels] for column in batch]
            for column, logits in zip(batch, compute_logits(tiles), strict=True):
                if band is None:
                    # The sums of the weighted logits in the image's rows from row.start on.
                    band = logits.new_zeros(len(logits), len(row.weights), width)
                weights = row.weights[:, None] * column.weights
                band[..., column.pixels] += logits * weights.to(logits.device)
        assert band is not None  # each row has tiles
        # No later tile reaches these rows.
        num_done = end - row.start
        label_map[row.start : end] = choose_classes(band[:, :num_done]).cpu().numpy()
        for channel in band:  # one by one, as each is copied
            channel[:-num_done] = channel[num_done:].clone()
            channel[-num_done:] = 0
    return label_map
