"""Where Python looks last for mmcv's compiled operators.

Also installed as the module ``_mmgcvit_operators``, which every Python process of the environment imports when it
starts (setup.py): therefore nothing is imported here before it is needed.
"""

import sys

MODULE = 'mmcv._ext'


class StandInFinder:
    """Finds the stand-ins as ``mmcv._ext``; last in ``sys.meta_path``, so that compiled operators come first."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> object:
        """The stand-ins' module, for that name and while mmgcvit is installed."""
        if name != MODULE:
            return None
        from importlib.util import find_spec, spec_from_file_location
        from pathlib import Path

        package = find_spec('mmgcvit')
        if package is None:
            return None
        folder = Path(next(iter(package.submodule_search_locations)))
        return spec_from_file_location(MODULE, folder / 'hosts' / 'stand_ins.py')


def serve_stand_ins() -> None:
    """Have the stand-ins found from now on; once a process."""
    if not any(type(finder).__name__ == StandInFinder.__name__ for finder in sys.meta_path):
        sys.meta_path.append(StandInFinder())
