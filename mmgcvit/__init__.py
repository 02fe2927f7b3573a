"""GC ViT and LSA backbones for OpenMMLab.

Importing the package imports neither torch nor OpenMMLab packages, so that commands start quickly: backbones are
imported at first use, and OpenMMLab packages find everything through :mod:`mmgcvit.registry`.
"""

from typing import TYPE_CHECKING

from .on_demand import on_demand
from .ops.finder import install_finders
from .version import __version__

if TYPE_CHECKING:
    from .config import config_path
    from .inference import load
    from .models.gcvit import GCViT
    from .models.lsa import LSA

__all__ = ['LSA', 'GCViT', '__version__', 'config_path', 'load']
PLACES = {
    'GCViT': 'models.gcvit',
    'LSA': 'models.lsa',
    'config_path': 'config',
    'load': 'inference',
}
__getattr__, __dir__ = on_demand(__name__, PLACES)

install_finders()
