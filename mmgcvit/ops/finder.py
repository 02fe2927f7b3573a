"""Import hooks: find the fallback operators as ``mmcv._ext``, and mmseg as ``mmsegmentation``."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path

FALLBACK = Path(__file__).with_name('fallback.py')
# The module that mmcv's operators are compiled into. Without them, mmengine's mmcv_full_available() is False until
# something imports mmcv.ops.
COMPILED = 'mmcv._ext'


class FallbackFinder(MetaPathFinder):
    """Find ``fallback.py`` under the name of mmcv's compiled operators, which come first in ``sys.meta_path``."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        is_wanted = name == COMPILED and 'mmcv.ops' in sys.modules
        return spec_from_file_location(name, FALLBACK) if is_wanted else None


class MmsegmentationFinder(MetaPathFinder):
    """Find mmseg under the name ``mmsegmentation``.

    For ``_base_ = 'mmseg::...'`` mmengine looks for a distribution ``mmsegmentation``, then for a module of that name;
    the maintained fork has another name. Remove this once mmengine looks for mmseg.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        spec = find_spec('mmseg') if name == 'mmsegmentation' else None
        # Without a loader the module is found but not imported a second time.
        return spec and ModuleSpec(name, None, origin=spec.origin)


def install_finders() -> None:
    """Add the finders to ``sys.meta_path``; importing mmgcvit calls this."""
    sys.meta_path.extend([FallbackFinder(), MmsegmentationFinder()])
