"""GC ViT and LSA backbones for OpenMMLab.

Importing the package imports neither torch nor OpenMMLab packages, so that commands start quickly. Each name in
``MODULES`` is imported when it is first used. OpenMMLab packages find all registered classes through
:mod:`mmgcvit.registry`.
"""

from typing import TYPE_CHECKING

from .lazy_imports import make_lazy_imports
from .ops.finder import install_finders
from .version import __version__

if TYPE_CHECKING:
    from .config import get_config_path
    from .inference import load
    from .models.gcvit import GCViT
    from .models.lsa import LSA

__all__ = ['LSA', 'GCViT', '__version__', 'get_config_path', 'load']
MODULES = {
    'GCViT': 'models.gcvit',
    'LSA': 'models.lsa',
    'get_config_path': 'config',
    'load': 'inference',
}
__getattr__, __dir__ = make_lazy_imports(__name__, MODULES)

# Lets Python import ops/fallback.py as mmcv._ext, and mmengine find mmseg (ops/finder.py).
install_finders()
