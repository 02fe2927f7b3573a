"""Checkpoints of these networks: read as data, key mappings of other code bases, loading, conversion, saving.

Subpackages from ``models`` on may import it. Begin with :mod:`.reading`, which says where checkpoints come from, and
with :mod:`.key_mapping`, how other code bases name the tensors; :mod:`.unpickling` keeps files from running code.
"""

from ..errors import CheckpointError
from .key_mapping import KeyMapping
from .loading import load_pretrained
from .reading import check_intact, read_checkpoint
from .weights import Weights, read_weights
from .writing import save_checkpoint, save_safetensors

__all__ = [
    'CheckpointError',
    'KeyMapping',
    'Weights',
    'check_intact',
    'load_pretrained',
    'read_checkpoint',
    'read_weights',
    'save_checkpoint',
    'save_safetensors',
]
