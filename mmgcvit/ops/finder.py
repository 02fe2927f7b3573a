"""Import hooks: find the fallback operators as ``mmcv._ext``, and mmseg as ``mmsegmentation``."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path

FALLBACK_FILE = Path(__file__).with_name('fallback.py')
# The module of mmcv's compiled operators. Without it, mmengine's mmcv_full_available() is False until mmcv.ops is
# imported.
COMPILED_MODULE = 'mmcv._ext'


class FallbackFinder(MetaPathFinder):
    """Find ``fallback.py`` as the module of compiled operators; last in ``sys.meta_path``, so that real ones win."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        is_wanted = name == COMPILED_MODULE and 'mmcv.ops' in sys.modules
        return spec_from_file_location(name, FALLBACK_FILE) if is_wanted else None


class MmsegmentationFinder(MetaPathFinder):
    """Find mmseg under the name ``mmsegmentation``; last in ``sys.meta_path``.

    For ``_base_ = 'mmseg::...'`` mmengine looks for a distribution ``mmsegmentation``, then for a module of that name;
    the maintained fork has another name. Remove this once mmengine looks for mmseg.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        spec = find_spec('mmseg') if name == 'mmsegmentation' else None
        # Without a loader, the module is found but not imported a second time.
        return spec and ModuleSpec(name, None, origin=spec.origin)


def install_finders() -> None:
    """Add the finders to ``sys.meta_path``; importing mmgcvit calls this."""
    sys.meta_path.extend([FallbackFinder(), MmsegmentationFinder()])
