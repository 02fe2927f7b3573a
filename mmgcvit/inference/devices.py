"""The device that a model runs on."""

import torch

from ..errors import UserError


def chosen_device(name: str | None = None) -> torch.device:
    """The device of a name.

    Args:
        name: ``'cpu'``, ``'cuda'``, or ``'cuda:N'``; None or ``'auto'`` for a GPU where there is one, else the CPU.

    Raises:
        UserError: It is no such name, or there is no such GPU.
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
        raise UserError(f'device {name}: torch {torch.__version__} sees no GPU here; take auto or cpu')
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f'device {name}: torch sees {torch.cuda.device_count()} GPUs here, numbered from 0')
    return device


def in_words(device: torch.device) -> str:
    """A device by its name for people."""
    return 'the CPU' if device.type == 'cpu' else f'{torch.cuda.get_device_name(device)} ({device})'
