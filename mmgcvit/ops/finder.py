"""An import hook that finds the fallback operators, for an mmcv without compiled ones."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path

FALLBACK_FILE = Path(__file__).with_name('fallback.py')
COMPILED_MODULE = 'mmcv._ext'  # the module of mmcv's compiled operators


class FallbackFinder(MetaPathFinder):
    """Find ``fallback.py`` as :data:`COMPILED_MODULE`.

    Python asks this finder last, after compiled modules.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        # mmengine's mmcv_full_available() looks for this module. It stays False until something
        # imports mmcv.ops.
        if name == COMPILED_MODULE and 'mmcv.ops' in sys.modules:
            return spec_from_file_location(name, FALLBACK_FILE)
        return None
