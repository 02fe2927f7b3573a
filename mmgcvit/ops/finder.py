"""Have Python find fallbacks of modules that OpenMMLab packages import and that may be missing."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path

HERE = Path(__file__).parent
PANOPTIC = 'panopticapi'
# The file of each module, and the package for which alone it is found. Who asks whether mmcv has operators, such as
# mmengine's mmcv_full_available, hears no until something imports mmcv.ops.
FALLBACKS = {
    'mmcv._ext': (HERE / 'fallback.py', 'mmcv.ops'),
    **dict.fromkeys((PANOPTIC, f'{PANOPTIC}.evaluation', f'{PANOPTIC}.utils'), (HERE / 'panopticapi.py', 'mmdet')),
}


class FallbackFinder(MetaPathFinder):
    """Finds fallbacks by the names of the modules that they replace; last in ``sys.meta_path``, so that those win."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        file, importer = FALLBACKS.get(name, (None, None))
        if importer not in sys.modules:
            return None
        return spec_from_file_location(name, file, submodule_search_locations=[] if name == PANOPTIC else None)


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
    """Have the fallbacks and mmsegmentation found from now on: importing mmgcvit calls this."""
    sys.meta_path.extend([FallbackFinder(), MmsegmentationFinder()])
