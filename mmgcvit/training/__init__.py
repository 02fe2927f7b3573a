"""What training needs beyond the hosts: precision that fits the machine, sharding, layer-wise learning rates."""

from .precision import auto_precision
from .sharding import wrap_blocks

__all__ = ['auto_precision', 'wrap_blocks']
