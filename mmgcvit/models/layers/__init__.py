"""Parts that mean the same in every backbone of this package. They import torch and mmcv only.

The network is in ``blocks``, ``windows``, ``position`` and ``attention``; ``cpu``, ``trained_bias``, ``resizing`` and
``tracing`` make it fast or fit for exports, and change results by rounding at most.
"""
# ruff: noqa: F401

from .attention import attend, attention_weights
from .blocks import Mlp, ResidualConnection
from .position import PositionEmbedding, RelativePositionBias
from .windows import window_partition, window_reverse
