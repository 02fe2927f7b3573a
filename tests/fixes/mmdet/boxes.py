"""Random boxes, some of which are equal."""

import numpy as np
import torch


def draw_boxes(rng, number):
    """Return boxes (n, 4) on a coarse grid, where some are equal."""
    corners = 5.3 * rng.integers(-2, 10, (2, number, 2)).astype(np.float32)
    return torch.from_numpy(np.concatenate([corners.min(0), corners.max(0)], 1))
