"""A checkpoint to test must hold the model's weights: hosts load what fits, and score the rest at random."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ..checkpoints import CheckpointError, read_checkpoint
from ..checkpoints.reading import download
from ..checkpoints.weights import find_state_dict

NAMED_AT_MOST = 3


def fetch(source: str) -> str:
    """The file of a checkpoint, downloaded if need be; other addresses, such as s3://, are left to the host."""
    return str(download(source)) if source.startswith(('http://', 'https://')) else source


def read_safely(path: str) -> Any:
    """What a checkpoint holds, without running code from it; None where it lies on a server.

    Hosts read it again by themselves, and in a way that runs code where the safe way does not suffice.

    Raises:
        CheckpointError: There is no such file, it is damaged, or reading it would run code.
    """
    return None if '://' in path else read_checkpoint(path)


def check_fits(model: nn.Module, content: Any, path: str) -> None:
    """Make sure that a checkpoint has every tensor of a model.

    Args:
        model: The model, or a model of test-time augmentation around it.
        content: From :func:`read_safely`.
        path: For the message.

    Raises:
        CheckpointError: It lacks tensors, or has some of other shapes.
    """
    if content is None:
        return
    held, _ = find_state_dict(content, path)
    held = {name.removeprefix('module.'): tensor for name, tensor in held.items()}
    wanted = {name.removeprefix('module.'): tensor for name, tensor in model.state_dict().items()}
    wrong = [name for name, tensor in wanted.items() if name not in held or held[name].shape != tensor.shape]
    if wrong:
        hint = '' if isinstance(content, Mapping) and 'meta' in content else '; not a checkpoint of an MM trainer? '
        hint += hint and "'python tools/convert_checkpoint.py' makes one of released weights"
        some = ', '.join(wrong[:NAMED_AT_MOST])
        raise CheckpointError(
            f"{Path(path)} does not fit the config's model: {len(wrong)} of its {len(wanted)} tensors are missing or "
            f'of other shapes ({some}, ...){hint}'
        )
