"""Choose the device that commands run on, and check that torch and mmcv's operators can use it."""

import os
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import torch

from ..errors import UserError, format_count

VISIBLE_DEVICES = 'CUDA_VISIBLE_DEVICES'
DEVICE_FOLDER = Path('/dev')


def check_gpus() -> None:
    """Raise a UserError if the machine has a GPU, not hidden, that torch cannot use and would
    silently ignore.
    """
    gpus = [] if torch.cuda.is_available() else find_gpus()
    if not gpus:
        return
    reason = 'torch gives no reason'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.cuda.init()
    except Exception as error:  # torch raises exceptions of several types
        reason = ' '.join(str(error).split()) or type(error).__name__
    raise UserError(
        f'There is a GPU here ({", ".join(gpus)}), but torch {torch.__version__} cannot use it: '
        f'"{reason}". See docs/installation.md, "When torch cannot use the GPU". To run on the '
        f'CPU, set {VISIBLE_DEVICES}=-1 or the device cpu',
        arguments=['device'],
    )


def find_gpus() -> list[str]:
    """Find NVIDIA GPUs without torch, unless ``CUDA_VISIBLE_DEVICES`` hides them all: users set ''
    or -1, and slurm ``NoDevFiles``.

    Return the paths of their device files, or their names in nvidia-smi.
    """
    first = os.environ.get(VISIBLE_DEVICES, '0').split(',')[0].strip()
    if first in ('', 'NoDevFiles') or first.startswith('-'):
        return []
    gpus = [str(path) for path in sorted(DEVICE_FOLDER.glob('nvidia[0-9]*'))]
    if gpus or not shutil.which('nvidia-smi'):
        return gpus
    smi = subprocess.run(['nvidia-smi', '--list-gpus'], capture_output=True, text=True)
    return re.findall(r'^(GPU .*?)(?: \(UUID|$)', smi.stdout, re.MULTILINE)


def resolve_device(name: str | None) -> torch.device:
    """Return the device for auto or None (a GPU if any), cpu, cuda or cuda:N.

    Raise a UserError if there is none.
    """
    if name in (None, 'auto'):
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    if str(name).isdecimal():
        name = f'cuda:{name}'
    if str(name) == 'mps':
        raise UserError(
            "device mps: this project has not been run on Apple's GPUs, so it refuses them. Use cpu"
        )
    if not re.fullmatch(r'cpu|cuda(:(0|[1-9]\d?))?', str(name)):
        raise UserError(f'device {name!r}: expected auto, cpu, cuda or cuda:N')
    device = torch.device(name)
    if device.type == 'cpu':
        return device
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (device.index or 0) >= num_gpus:
        raise UserError(
            f'device {name}: torch {torch.__version__} finds {format_count(num_gpus, "GPU")}, '
            'numbered from 0. Use another one, auto or cpu'
        )
    return device


def list_cpus() -> list[int]:
    """Return the numbers of the CPUs that this process may use. Where the system does not say
    (macOS), all of them.
    """
    if hasattr(os, 'sched_getaffinity'):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def disable_cudnn_attention() -> None:
    """Disable cuDNN's attention, torch's choice on recent GPUs, which spends 0.06 to 1 s on each
    new image size.
    """
    if hasattr(torch.backends.cuda, 'enable_cudnn_sdp'):  # older versions of torch lack it
        torch.backends.cuda.enable_cudnn_sdp(False)
