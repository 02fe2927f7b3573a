"""Read, convert, load and save checkpoints of the backbones.

``models`` and the subpackages above it may import this one. Start with :mod:`.reading` (files, URLs, timm's models)
and :mod:`.key_mapping` (keys of other implementations). :mod:`.unpickling` keeps files from running code.
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
