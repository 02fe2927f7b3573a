"""Where Python looks last for mmcv's compiled operators, and for the ``panopticapi`` of mmdet.

Also installed as the module ``_mmgcvit_operators``, which every Python process of the environment imports when it
starts (setup.py): therefore nothing is imported here before it is needed. Where the stand-ins are is known from the
installation, whatever else on Python's path is called mmgcvit. MMGCVIT_STAND_INS=0 in the environment turns it off.
"""

import os
import sys

MODULE, PANOPTIC = 'mmcv._ext', 'panopticapi'
# What stands in for a module, and what must have been imported before it is found.
STAND_INS = {
    MODULE: ('stand_ins.py', 'mmcv.ops'),
    **dict.fromkeys((PANOPTIC, f'{PANOPTIC}.evaluation', f'{PANOPTIC}.utils'), ('panoptic.py', 'mmdet')),
}


class StandInFinder:
    """Finds stand-ins by the names of what they stand in for; last in ``sys.meta_path``, so that these come first."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        """The stand-in for a module, while the file is there, once something imports mmcv.ops, of panopticapi mmdet.

        So who asks whether mmcv has operators, as by mmengine's ``mmcv_full_available``, hears no until then: to a
        finder one who looks for a module and one who imports it are the same.
        """
        if name not in STAND_INS:
            return None
        stand_in, user = STAND_INS[name]
        if user not in sys.modules:
            return None
        from importlib.util import spec_from_file_location
        from pathlib import Path

        file = Path(__file__).resolve().parent / self.folder / stand_in
        inside = [] if name == PANOPTIC else None
        return spec_from_file_location(name, file, submodule_search_locations=inside) if file.is_file() else None


def serve_stand_ins(folder: str = '') -> None:
    """Have the stand-ins found from now on, in a folder seen from this file's; in the place of an earlier call's."""
    others = [finder for finder in sys.meta_path if type(finder).__name__ != StandInFinder.__name__]
    is_on = os.environ.get('MMGCVIT_STAND_INS') != '0'
    sys.meta_path[:] = [*others, StandInFinder(folder)] if is_on else others
