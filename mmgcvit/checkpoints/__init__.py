"""Checkpoints of these networks: reading without running code, their layouts, loading, writing, integrity.

The rooms from ``models`` on may import it. Begin with :mod:`.reading`, which says where checkpoints come from, and with
:mod:`.layout`, how other code bases name what is here; :mod:`.torch_files` is where nothing of a file is run.
"""

from ..errors import CheckpointError, DamagedCheckpointError
from .integrity import add_digest, check_whole, save_whole
from .layout import Layout
from .loading import load_pretrained
from .reading import read_checkpoint, read_trusted_checkpoint
from .run_folder import NewestCheckpoint, newest_whole_checkpoint
from .weights import Weights, read_weights

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
