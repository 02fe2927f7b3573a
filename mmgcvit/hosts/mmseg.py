"""Where mmengine finds mmseg for ``_base_ = 'mmseg::...'``, whichever distribution it is of."""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec


class Mmsegmentation:
    """Last in ``sys.meta_path``: says where mmseg is, whichever distribution it is of, to who looks for mmsegmentation.

    So mmengine does for ``_base_ = 'mmseg::...'``: for a distribution of that name, which the maintained fork is not,
    then for a module. To be removed once mmengine looks for mmseg.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        found = find_spec('mmseg') if name == 'mmsegmentation' else None
        # Without a loader it can be found, and not be imported a second time.
        return found and ModuleSpec(name, None, origin=found.origin)


def serve_mmsegmentation() -> None:
    """Have mmseg's other name answered from now on."""
    sys.meta_path.append(Mmsegmentation)
