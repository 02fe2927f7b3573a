"""Check whether mmcv's compiled operators are installed and support the GPU."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from .finder import COMPILED_MODULE, FALLBACK_FILE


def are_compiled() -> bool:
    """Return whether mmcv has compiled operators. Otherwise, fallback.py is used."""
    spec = find_spec(COMPILED_MODULE)
    return spec is not None and Path(spec.origin) != FALLBACK_FILE


def check_operators(cfg: Mapping[str, Any]) -> None:
    """Raise a UserError if mmdet is to run on a GPU but mmcv's operators were compiled without CUDA."""
    if cfg.get('default_scope') != 'mmdet' or not torch.cuda.is_available() or not are_compiled():
        return
    from mmcv.ops import get_compiling_cuda_version

    if get_compiling_cuda_version() == 'not available':
        raise UserError(
            "mmcv's operators were compiled without CUDA, but there is a GPU. Use torchvision's operators "
            "('make install OPERATORS=torchvision VENV=.venv-gpu'), compile mmcv with nvcc ('FORCE_CUDA=1 make install "
            "OPERATORS=compiled'), or run on the CPU (CUDA_VISIBLE_DEVICES=-1)"
        )
