"""Import hooks, with which Python finds the fallback operators as ``mmcv._ext``, and mmseg as ``mmsegmentation``."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path

FALLBACK_FILE = Path(__file__).with_name('fallback.py')
# The module of mmcv's compiled operators.
COMPILED_MODULE = 'mmcv._ext'


class FallbackFinder(MetaPathFinder):
    """Find ``fallback.py`` as :data:`COMPILED_MODULE`, if mmcv has none. Python asks this finder last."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        # mmengine's mmcv_full_available() looks for this module. It stays False until something imports mmcv.ops.
        is_wanted = name == COMPILED_MODULE and 'mmcv.ops' in sys.modules
        return spec_from_file_location(name, FALLBACK_FILE) if is_wanted else None


class MmsegmentationFinder(MetaPathFinder):
    """Find mmseg as ``mmsegmentation``, if no module has this name. Python asks this finder last.

    For ``_base_ = 'mmseg::...'``, mmengine looks for the distribution ``mmsegmentation``, then for a module of this
    name. mmseg's maintained fork is the distribution ``onedl-mmsegmentation``. Remove this class when mmengine looks
    for the module ``mmseg``.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        spec = find_spec('mmseg') if name == 'mmsegmentation' else None
        # mmengine reads only the path. Without a loader, mmseg cannot be imported a second time as mmsegmentation.
        return spec and ModuleSpec(name, None, origin=spec.origin)


def install_finders() -> None:
    """Append the finders to ``sys.meta_path``. Importing mmgcvit calls this function."""
    sys.meta_path.extend([FallbackFinder(), MmsegmentationFinder()])
