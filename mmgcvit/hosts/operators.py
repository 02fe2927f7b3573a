"""mmcv's compiled operators where mmcv has none: the ones that this project's configs use, from torchvision and torch.

mmcv without compiled operators (a pure-Python wheel of it, or mmcv-lite) lacks the module ``mmcv._ext``, and then
``mmcv.ops``, mmdet and parts of mmseg cannot be imported. Here a stand-in of that name is put behind Python's own ways
of finding modules: compiled operators are used wherever they exist. To be removed once mmcv's pure-Python wheels work
without them.

``finder.py`` is what a Python process needs to know beforehand: importing mmgcvit tells it, and where mmgcvit is
installed its start-up does (setup.py), so that the hosts' own scripts, which import mmdet first, find the stand-in too.
``stand_ins.py`` is the module.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from mmengine.config import Config

from ..errors import UserError
from .finder import MODULE


def are_compiled() -> bool:
    """Whether mmcv's own compiled operators are the ones in use."""
    spec = find_spec(MODULE)
    # By its name: those of another installation may have been found before this package was imported.
    return spec is not None and Path(spec.origin).name != 'stand_ins.py'


def check_operators_load() -> None:
    """Refuse to start beside operators that were compiled for another torch: every host imports them."""
    if not are_compiled():
        return
    try:
        import_module(MODULE)
    except ImportError as error:
        raise UserError(
            f"mmcv's compiled operators do not load beside torch {torch.__version__} ({error}): they were compiled "
            "beside another. Begin with a new environment ('make install VENV=.venv-new'), or compile them again: "
            'docs/installation.md, "When something is wrong"'
        ) from None


def check_operators(cfg: Config) -> None:
    """Refuse to start a detector on a GPU beside operators compiled for the CPU only: its first step would fail."""
    if cfg.get('default_scope') != 'mmdet' or not torch.cuda.is_available() or not are_compiled():
        return
    from mmcv.ops import get_compiling_cuda_version

    if get_compiling_cuda_version() == 'not available':
        raise UserError(
            "There is a GPU, but mmcv's operators were compiled for the CPU only. Take torchvision's "
            "('make install OPERATORS=torchvision VENV=.venv-gpu'), compile again with nvcc at hand "
            "('FORCE_CUDA=1 make install OPERATORS=compiled'), or hide the GPU: CUDA_VISIBLE_DEVICES=-1"
        )
