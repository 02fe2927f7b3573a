"""mmcv's compiled operators where mmcv has none: the ones that this project's configs use, from torchvision and torch.

mmcv without compiled operators (a pure-Python wheel of it, or mmcv-lite) lacks the module ``mmcv._ext``, and then
``mmcv.ops``, mmdet and parts of mmseg cannot be imported. Here a stand-in of that name is put behind Python's own ways
of finding modules: compiled operators are used wherever they exist. To be removed once mmcv's pure-Python wheels work
without them.

``finder.py`` is what a Python process needs to know beforehand: importing mmgcvit tells it, and where mmgcvit is
installed its start-up does (setup.py), so that the hosts' own scripts, which import mmdet first, find the stand-in too.
``stand_ins.py`` is the module.
"""

from importlib.util import find_spec
from pathlib import Path

from .finder import MODULE, serve_stand_ins


def are_compiled() -> bool:
    """Whether mmcv's own compiled operators are the ones in use."""
    spec = find_spec(MODULE)
    stand_ins = Path(__file__).with_name('stand_ins.py').resolve()
    return spec is not None and Path(spec.origin).resolve() != stand_ins


__all__ = ['are_compiled', 'serve_stand_ins']
