"""Choose the device that commands run on.

Fail if a GPU is present that torch cannot use, because torch would silently fall back to the CPU.
"""

import os
import shutil
import subprocess
import warnings
from pathlib import Path

import torch

from .errors import UserError

VISIBLE_DEVICES = 'CUDA_VISIBLE_DEVICES'
DEVICE_FOLDER = Path('/dev')


def check_gpus() -> None:
    """Raise a UserError if the machine has a GPU that torch cannot use, unless the user has hidden it."""
    gpus = [] if torch.cuda.is_available() or are_gpus_hidden() else find_gpus()
    if gpus:
        raise UserError(
            f'There is a GPU here ({", ".join(gpus)}), but torch {torch.__version__} cannot use it: '
            f'"{get_torch_reason()}". See docs/installation.md, "When torch cannot use the GPU". To run on the CPU, '
            'set '
            f'{VISIBLE_DEVICES}=-1 or use --device cpu'
        )


def are_gpus_hidden() -> bool:
    """Return whether the user or slurm (with ``NoDevFiles``) has hidden the GPUs."""
    first = os.environ.get(VISIBLE_DEVICES, '0').split(',')[0].strip()
    return first in ('', 'NoDevFiles') or first.startswith('-')


def find_gpus() -> list[str]:
    """Find NVIDIA GPUs without torch, by device files or nvidia-smi; return their paths or names."""
    gpus = [str(path) for path in sorted(DEVICE_FOLDER.glob('nvidia[0-9]*'))]
    if not gpus and shutil.which('nvidia-smi'):
        smi = subprocess.run(['nvidia-smi', '--list-gpus'], capture_output=True, text=True)
        gpus = [line.split(' (UUID')[0] for line in smi.stdout.splitlines() if line.startswith('GPU ')]
    return gpus


def get_torch_reason() -> str:
    """Return the error with which torch fails to initialise CUDA."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.cuda.init()
    except Exception as error:  # torch and the driver raise exceptions of any type.
        return ' '.join(str(error).split()) or type(error).__name__
    return 'torch gives no reason'


def resolve_device(name: str | None = None) -> torch.device:
    """Return the device for ``cpu``, ``cuda`` or ``cuda:N``; None and ``auto`` mean a GPU if torch sees one.

    Raises:
        UserError: The name is not one of these, or torch does not find that GPU.
    """
    if name in (None, 'auto'):
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ('cpu', 'cuda') or (device.type == 'cpu' and device.index is not None):
        raise UserError(f'device {name!r}: expected auto, cpu, cuda or cuda:N')
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise UserError(f'device {name}: torch {torch.__version__} finds no GPU. Use auto or cpu')
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        found = ', '.join(f'cuda:{index}' for index in range(torch.cuda.device_count()))
        raise UserError(f'device {name}: torch finds only {found}')
    return device


def use_device(name: str) -> torch.device:
    """Resolve a device and make it torch's current device, which mmengine uses; see :func:`resolve_device`."""
    device = resolve_device(name)
    if device.type == 'cpu' and torch.cuda.is_available():
        raise UserError(
            f'device cpu: too late, torch has already found the GPUs. Set {VISIBLE_DEVICES}=-1 before starting Python'
        )
    if device.index is not None:
        torch.cuda.set_device(device)
    return device
