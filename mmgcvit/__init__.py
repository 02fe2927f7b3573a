"""GC ViT and LSA backbones for OpenMMLab.

Importing the package imports neither torch nor OpenMMLab packages, so that commands start quickly.
Each name in ``MODULES`` is imported when it is first used (PEP 562). OpenMMLab packages find all
registered classes through :mod:`mmgcvit.registry`.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if sys.platform == 'win32':
    # Before anything that Windows lacks (fcntl, SIGHUP) is imported.
    raise ImportError(
        'mmgcvit runs on Linux and macOS. On Windows, install it in WSL 2: '
        'docs/installation.md, "Windows"'
    )

from .ops.finder import FallbackFinder
from .version import __version__

if TYPE_CHECKING:
    from .host.config import get_config_path
    from .models import LSA, GCViT
    from .own.training.options import check_choices
    from .predict.load import load

__all__ = ['LSA', 'GCViT', '__version__', 'check_choices', 'get_config_path', 'load']
MODULES = {
    'GCViT': 'models',
    'LSA': 'models',
    'get_config_path': 'host.config',
    'load': 'predict.load',
    'check_choices': 'own.training.options',
}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    if name in ('GCViT', 'LSA'):
        # Importing the registry checks the versions of torch, mmengine and mmcv.
        import_module('mmgcvit.registry')
    return getattr(import_module(f'{__name__}.{MODULES[name]}'), name)


def __dir__() -> list[str]:
    return [*globals(), *MODULES]


sys.meta_path.append(FallbackFinder())
