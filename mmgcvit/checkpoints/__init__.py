"""Checkpoints of these networks: safe reading, the layouts in which they exist, loading, writing, wholeness.

Nothing in a file is run; see :mod:`.pickles`.
"""

from ..errors import CheckpointError, DamagedCheckpointError
from .layout import Layout
from .loading import load_pretrained
from .newest import NewestCheckpoint, newest_whole_checkpoint
from .reading import read_checkpoint, read_trusted_checkpoint
from .weights import Weights, read_weights
from .wholeness import add_digest, check_whole, save_whole

__all__ = [
    'CheckpointError',
    'DamagedCheckpointError',
    'Layout',
    'NewestCheckpoint',
    'Weights',
    'add_digest',
    'check_whole',
    'load_pretrained',
    'newest_whole_checkpoint',
    'read_checkpoint',
    'read_trusted_checkpoint',
    'read_weights',
    'save_whole',
]
