"""Checkpoints that hosts read: without running code from them, and only if they hold the model's weights."""

import re
from collections.abc import Mapping
from typing import Any

from mmengine.runner import CheckpointLoader
from torch import nn

from ..checkpoints import CheckpointError, read_checkpoint
from ..checkpoints.weights import find_state_dict
from ..layers.position import TABLE_NAME

# Local files, and addresses; schemes that hosts serve from their own model zoos are left to them.
READ_HERE = ('', 'http://', 'https://')
NAMED_AT_MOST = 3
WRAPPERS = re.compile(r'^(module\.)+')


def read_checkpoints_safely() -> None:
    """Have mmengine read checkpoints by :func:`load_for_host`, through its own registry of loaders.

    Its default runs code from a file where the safe way does not suffice. For command lines: it holds for the process.
    """
    for scheme in READ_HERE:
        CheckpointLoader.register_scheme(scheme, load_for_host, force=True)


def load_for_host(filename: str, map_location: Any = None, logger: Any = None) -> dict[str, Any]:
    """Read a checkpoint as mmengine's loaders do, its weights under ``state_dict`` wherever the file has them.

    Raises:
        CheckpointError: There is no such file, it is damaged or no checkpoint, or reading it would run code.
    """
    content = read_checkpoint(filename)
    state_dict, _ = find_state_dict(content, filename)
    if isinstance(content, Mapping) and content.get('state_dict') is not None:
        return {**content, 'state_dict': state_dict}
    return {'state_dict': state_dict, 'meta': {}}


def check_fits(model: nn.Module, source: str, part: str = '') -> None:
    """Make sure that a checkpoint has every tensor of a model: hosts load what fits, and leave the rest at random.

    Args:
        model: The model, wrapped or not.
        source: The checkpoint.
        part: Look at tensors under this prefix only, for example ``backbone.``.

    Raises:
        CheckpointError: It lacks tensors, or has some of other shapes; position tables may differ, they are resized.
    """
    content = load_for_host(source)
    held = {WRAPPERS.sub('', name): tensor for name, tensor in content['state_dict'].items()}
    wanted = {WRAPPERS.sub('', name): tensor for name, tensor in model.state_dict().items()}
    wanted = {name: tensor for name, tensor in wanted.items() if name.startswith(part)}
    wrong = [
        name
        for name, tensor in wanted.items()
        if name not in held or (held[name].shape != tensor.shape and not name.endswith(TABLE_NAME))
    ]
    if wrong:
        raise CheckpointError(
            f"{source} does not fit the config's model: {len(wrong)} of its {len(wanted)} tensors are missing or of "
            f'other shapes ({", ".join(wrong[:NAMED_AT_MOST])}, ...). Released weights and those of other code bases: '
            "'python tools/convert_checkpoint.py' makes a checkpoint of them"
        )
