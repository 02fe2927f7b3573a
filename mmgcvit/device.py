"""Choose the device.

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
    """Raise a UserError if there is a GPU that torch cannot use, unless the user has hidden it."""
    signs = [] if torch.cuda.is_available() or is_hidden() else find_gpus()
    if signs:
        raise UserError(
            f'There is a GPU here ({", ".join(signs)}), but torch {torch.__version__} cannot use it: '
            f'"{get_torch_reason()}" See docs/installation.md, "When torch cannot use the GPU". To run on the CPU: '
            f'{HIDING_VARIABLE}=-1, or --device cpu'
        )


def is_hidden() -> bool:
    """Whether the user or slurm (``NoDevFiles``) has hidden the GPUs."""
    first = os.environ.get(HIDING_VARIABLE, '0').split(',')[0].strip()
    return first in ('', 'NoDevFiles') or first.startswith('-')


def find_gpus() -> list[str]:
    """Find NVIDIA GPUs by device files or nvidia-smi."""
    signs = [str(path) for path in sorted(DEVICES.glob('nvidia[0-9]*'))]
    if not signs and shutil.which('nvidia-smi'):
        listed = subprocess.run(['nvidia-smi', '--list-gpus'], capture_output=True, text=True)
        signs = [line.split(' (UUID')[0] for line in listed.stdout.splitlines() if line.startswith('GPU ')]
    return signs


def get_torch_reason() -> str:
    """Return torch's reason for not using a GPU."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.cuda.init()
    except Exception as error:  # torch and the driver raise any type.
        return ' '.join(str(error).split()) or type(error).__name__
    return 'torch gives no reason'


def resolve_device(name: str | None = None) -> torch.device:
    """Return the device of a name: ``cpu``, ``cuda``, ``cuda:N``; None or ``auto`` is a GPU if there is one."""
    if name in (None, 'auto'):
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ('cpu', 'cuda') or (device.type == 'cpu' and device.index is not None):
        raise UserError(f'device {name!r}: expected auto, cpu, cuda or cuda:N')
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise UserError(f'device {name}: torch {torch.__version__} sees no GPU; use auto or cpu')
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f'device {name}: torch sees {torch.cuda.device_count()} GPUs, numbered from 0')
    return device


def use_device(name: str) -> torch.device:
    """Make the device of a name torch's current one, which mmengine uses; see :func:`resolve_device`."""
    device = resolve_device(name)
    if device.type == 'cpu' and torch.cuda.is_available():
        raise UserError(f'device cpu: torch sees GPUs already; set {HIDING_VARIABLE}=-1 before starting Python')
    if device.index is not None:
        torch.cuda.set_device(device)
    return device
