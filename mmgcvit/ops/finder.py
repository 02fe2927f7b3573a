"""An import hook, with which Python finds the fallback operators as ``mmcv._ext``."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path

FALLBACK_FILE = Path(__file__).with_name('fallback.py')
# The module of mmcv's compiled operators.
COMPILED_MODULE = 'mmcv._ext'


class FallbackFinder(MetaPathFinder):
    """Find ``fallback.py`` as :data:`COMPILED_MODULE`. Python asks this finder last."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        # mmengine's mmcv_full_available() looks for this module. It stays False until something imports mmcv.ops.
        is_wanted = name == COMPILED_MODULE and 'mmcv.ops' in sys.modules
        return spec_from_file_location(name, FALLBACK_FILE) if is_wanted else None


def install_finder() -> None:
    """Append the finder to ``sys.meta_path`` if mmcv lacks compiled operators. Importing mmgcvit calls this."""
    mmcv = find_spec('mmcv')
    folders = mmcv.submodule_search_locations if mmcv else []
    if not any(PathFinder.find_spec(COMPILED_MODULE, [folder]) for folder in folders):
        sys.meta_path.append(FallbackFinder())
