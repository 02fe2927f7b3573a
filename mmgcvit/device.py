"""Choose the device that commands run on, and raise an error if torch cannot use a machine's GPU."""

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
    """Raise a UserError if the machine has a GPU but torch finds none, unless all GPUs are hidden."""
    gpus = [] if torch.cuda.is_available() or are_gpus_hidden() else find_gpus()
    if gpus:
        raise UserError(
            f'There is a GPU here ({", ".join(gpus)}), but torch {torch.__version__} cannot use it: '
            f'"{get_cuda_error()}". See docs/installation.md, "When torch cannot use the GPU". To run on the CPU, set '
            f'{VISIBLE_DEVICES}=-1 or use --device cpu'
        )


def are_gpus_hidden() -> bool:
    """Return whether ``CUDA_VISIBLE_DEVICES`` hides all GPUs: users set '' or -1, and slurm ``NoDevFiles``."""
    first = os.environ.get(VISIBLE_DEVICES, '0').split(',')[0].strip()
    return first in ('', 'NoDevFiles') or first.startswith('-')


def find_gpus() -> list[str]:
    """Find NVIDIA GPUs without torch. Return the paths of their device files, or their names in nvidia-smi."""
    gpus = [str(path) for path in sorted(DEVICE_FOLDER.glob('nvidia[0-9]*'))]
    if not gpus and shutil.which('nvidia-smi'):
        smi = subprocess.run(['nvidia-smi', '--list-gpus'], capture_output=True, text=True)
        gpus = [line.split(' (UUID')[0] for line in smi.stdout.splitlines() if line.startswith('GPU ')]
    return gpus


def get_cuda_error() -> str:
    """Return the error with which torch fails to initialise CUDA."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.cuda.init()
    except Exception as error:  # torch raises exceptions of several types.
        return ' '.join(str(error).split()) or type(error).__name__
    return 'torch gives no reason'


def resolve_device(name: str | None = None) -> torch.device:
    """Return the device for ``cpu``, ``cuda`` or ``cuda:N``. ``auto`` and None mean a GPU or, without one, the CPU.

    Raise a UserError if the name is invalid or torch does not find the GPU.
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
        raise UserError(f'device {name}: torch finds only {found}. Use one of them, auto or cpu')
    return device


def use_device(name: str) -> torch.device:
    """Return the device for a name (:func:`resolve_device`), and make it the device that mmengine uses."""
    device = resolve_device(name)
    if device.index is not None:
        torch.cuda.set_device(device)
    return device


def disable_cudnn_attention() -> None:
    """Disable cuDNN's attention kernel, which torch prefers on recent GPUs, for this process.

    It spends 0.06 to 1 s on a plan for each new number of windows, which varies with the image size.
    """
    if hasattr(torch.backends.cuda, 'enable_cudnn_sdp'):  # older versions of torch lack it
        torch.backends.cuda.enable_cudnn_sdp(False)
