"""mmcv's compiled operators must fit the torch that is here, and the device that the model will run on."""

from importlib import import_module

import torch
from mmengine.config import Config

from ..operators import are_compiled
from ..operators.finder import MODULE


def check_operators_load() -> None:
    """Refuse to start beside operators that were compiled for another torch: every host imports them.

    Raises:
        SystemExit: They do not load; the message says what to do.
    """
    if not are_compiled():
        return
    try:
        import_module(MODULE)
    except ImportError as error:
        raise SystemExit(
            f"mmcv's compiled operators do not load beside torch {torch.__version__} ({error}): they were compiled "
            "beside another. Begin with a new environment ('make install VENV=.venv-new'), or compile them again: "
            'docs/installation.md, "When something is wrong"'
        ) from None


def check_operators(cfg: Config) -> None:
    """Refuse to start a detector on a GPU beside operators compiled for the CPU only, which would stop its first step.

    Raises:
        SystemExit: That is the case; the message says what to do.
    """
    if cfg.get('default_scope') != 'mmdet' or not torch.cuda.is_available() or not are_compiled():
        return
    from mmcv.ops import get_compiling_cuda_version

    if get_compiling_cuda_version() == 'not available':
        raise SystemExit(
            "There is a GPU, but mmcv's operators were compiled for the CPU only. Take torchvision's "
            "('make install OPERATORS=torchvision VENV=.venv-gpu'), compile again with nvcc at hand "
            "('FORCE_CUDA=1 make install OPERATORS=compiled'), or hide the GPU: CUDA_VISIBLE_DEVICES=-1"
        )
