"""Whether tensors are weights that a network can have: dense, of real numbers, each of them finite."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import CheckpointError, shorten


def check_numbers(tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuse tensors that are no weights.

    Args:
        tensors: Name to tensor. Whole numbers and truth values are let by: buffers may be such.
        source: For messages.

    Raises:
        CheckpointError: A tensor holds no numbers (on the meta device), is sparse or quantized, complex, or has values
            that are not finite.
    """
    wrong = [f'{name} ({reason})' for name, tensor in tensors.items() if (reason := what_is_wrong_with(tensor))]
    if wrong:
        raise CheckpointError(
            f'{source} has {len(wrong)} tensors that are no weights: {shorten(wrong)}. Take an earlier checkpoint, or '
            'save dense, finite weights where it was made'
        )


def what_is_wrong_with(tensor: Tensor) -> str | None:
    """Why a tensor is no weight, None if it is one."""
    if tensor.is_meta:
        return 'without numbers, on the meta device'
    if tensor.layout != torch.strided or tensor.is_quantized:
        return f'{"quantized" if tensor.is_quantized else tensor.layout}'
    if tensor.is_complex():
        return 'complex numbers'
    if tensor.is_floating_point() and not are_finite(tensor):
        return 'values that are not finite'
    return None


def are_finite(tensor: Tensor) -> bool:
    """Whether all numbers are finite; those of 8 bits, which torch cannot ask, in more."""
    tensor = tensor.detach()
    return bool(torch.isfinite(tensor.float() if tensor.element_size() == 1 else tensor).all())
