"""Which device a program runs on.

Fail if a GPU is present that torch cannot use: torch would silently fall back to the CPU.
"""

import os
import shutil
import subprocess
import warnings
from pathlib import Path

import torch

from .errors import UserError

HIDING_VARIABLE = 'CUDA_VISIBLE_DEVICES'
DEVICES = Path('/dev')


def check_gpus() -> None:
    """Refuse to go on where the machine has a GPU that torch cannot use, unless the user has hidden it."""
    signs = [] if torch.cuda.is_available() or is_hidden() else find_gpus()
    if signs:
        raise UserError(
            f'There is a GPU here ({", ".join(signs)}), but torch {torch.__version__} cannot use it: '
            f'"{torch_reason()}" See docs/installation.md, "When torch cannot use the GPU". To run on the CPU all the '
            f'same: {HIDING_VARIABLE}=-1 (or --device cpu, where a command has it)'
        )


def is_hidden() -> bool:
    """Whether the user has hidden the GPUs, or slurm (``NoDevFiles``)."""
    first = os.environ.get(HIDING_VARIABLE, '0').split(',')[0].strip()
    return first in ('', 'NoDevFiles') or first.startswith('-')


def find_gpus() -> list[str]:
    """What tells that the machine has an NVIDIA GPU: device files, or nvidia-smi."""
    signs = [str(path) for path in sorted(DEVICES.glob('nvidia[0-9]*'))]
    if not signs and shutil.which('nvidia-smi'):
        listed = subprocess.run(['nvidia-smi', '--list-gpus'], capture_output=True, text=True)
        signs = [line.split(' (UUID')[0] for line in listed.stdout.splitlines() if line.startswith('GPU ')]
    return signs


def torch_reason() -> str:
    """Why torch cannot use a GPU, in its own words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.cuda.init()
    except Exception as error:  # Whatever torch or the driver fail with is the reason.
        return ' '.join(str(error).split()) or type(error).__name__
    return 'torch gives no reason'


def chosen_device(name: str | None = None) -> torch.device:
    """``'cpu'``, ``'cuda'``, or ``'cuda:N'``; None or ``'auto'`` is a GPU where there is one, else the CPU."""
    if name in (None, 'auto'):
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ('cpu', 'cuda') or (device.type == 'cpu' and device.index is not None):
        raise UserError(f'device {name!r}: expected auto, cpu, cuda or cuda:N')
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise UserError(f'device {name}: torch {torch.__version__} sees no GPU here; take auto or cpu')
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f'device {name}: torch sees {torch.cuda.device_count()} GPUs here, numbered from 0')
    return device


def use_device(name: str) -> torch.device:
    """Have mmengine, which takes torch's current device, use the one of this name; see :func:`chosen_device`."""
    device = chosen_device(name)
    if device.type == 'cpu' and torch.cuda.is_available():
        raise UserError(f'device cpu: torch sees GPUs already; set {HIDING_VARIABLE}=-1 before starting Python')
    if device.index is not None:
        torch.cuda.set_device(device)
    return device
