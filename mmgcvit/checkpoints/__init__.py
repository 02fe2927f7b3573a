"""Read, convert, load and save checkpoints of the backbones.

Start with :mod:`.reading`, which reads files, URLs and timm's models, and :mod:`.key_mapping`, which maps keys of other
implementations. :mod:`.unpickling` keeps files from running code. This subpackage does not import ``models``.
"""

from typing import TYPE_CHECKING

from ..errors import CheckpointError
from ..lazy_imports import make_lazy_imports

if TYPE_CHECKING:
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
MODULES = {
    'KeyMapping': 'key_mapping',
    'load_pretrained': 'loading',
    **dict.fromkeys(('check_intact', 'read_checkpoint'), 'reading'),
    **dict.fromkeys(('Weights', 'read_weights'), 'weights'),
    **dict.fromkeys(('save_checkpoint', 'save_safetensors'), 'writing'),
}
__getattr__, __dir__ = make_lazy_imports(__name__, MODULES)
