"""Checkpoints of these networks: safe reading, the layouts in which they exist, loading, writing."""

from .errors import CheckpointError
from .layout import Layout
from .loading import load_pretrained
from .reading import read_checkpoint
from .weights import Weights, read_weights

__all__ = ['CheckpointError', 'Layout', 'Weights', 'load_pretrained', 'read_checkpoint', 'read_weights']
