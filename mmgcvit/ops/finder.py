"""Import hooks: the fallback operators as ``mmcv._ext`` if mmcv has none, and mmseg as ``mmsegmentation``."""

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
    """Finds ``fallback.py`` by the name of mmcv's compiled operators; last in ``sys.meta_path``, so that these win."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        is_wanted = name == COMPILED and 'mmcv.ops' in sys.modules
        return spec_from_file_location(name, FALLBACK) if is_wanted else None


class MmsegmentationFinder(MetaPathFinder):
    """Finds mmseg by the name ``mmsegmentation``; last in ``sys.meta_path``.

    For ``_base_ = 'mmseg::...'`` mmengine looks for a distribution of that name, which the maintained fork is not, then
    for a module. To be removed once mmengine looks for mmseg.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        found = find_spec('mmseg') if name == 'mmsegmentation' else None
        # Without a loader it can be found, and not be imported a second time.
        return found and ModuleSpec(name, None, origin=found.origin)


def install_finders() -> None:
    """Add the finders to ``sys.meta_path``; importing mmgcvit calls this."""
    sys.meta_path.extend([FallbackFinder(), MmsegmentationFinder()])
