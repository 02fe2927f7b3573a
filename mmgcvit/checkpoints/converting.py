"""A checkpoint's content in another of the layouts in which it exists."""

import re
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..registry import MODELS
from .integrity import sha256
from .loading import check_complete
from .reading import local_file
from .weights import FINAL_NORM, Weights, grid_in, table_of
from .writing import mmpretrain_checkpoint, state_dict_for

OPTIONAL = re.compile(r'norm\d+\.|final_norm\.|head\.')
# The index of positions, which the original's layout has beside each table, grows with the window's fourth power.
LARGEST_WINDOW = 64


def convert(weights: Weights, to: str) -> dict[str, Any]:
    """The content of the file to write."""
    check_complete(weights.source, weights.tensors, expected_tensors(weights), OPTIONAL)
    for name in filter(table_of, weights.tensors):
        if max(grid_in(weights.tensors, name, weights.source)) > 2 * LARGEST_WINDOW:
            raise CheckpointError(f'{weights.source}: {name} is of windows larger than {LARGEST_WINDOW}')
    network = MODELS.get(weights.layout.network)
    layouts = {layout.key: layout for layout in network.layouts if layout.key}
    if to in layouts:
        return {'state_dict': state_dict_for(weights, layouts[to])}
    if to != 'mmpretrain':
        raise CheckpointError(f'{weights.layout.network} weights have no layout of {to}; choose mmpretrain or original')
    digest = None if weights.source.startswith('timm://') else sha256(local_file(weights.source))
    return mmpretrain_checkpoint(weights, network.describe_weights(weights.tensors).strip("'"), digest)


def expected_tensors(weights: Weights) -> dict[str, Tensor]:
    """The tensors, without numbers, of the network that weights are of: all its norms, and a head of their classes."""
    network = MODELS.get(weights.layout.network)
    try:
        arch = network.arch_type.seen_in(weights.tensors)
        depths = arch['depths']
        if sum(depths) > len(weights.tensors):
            raise ValueError(f'{len(weights.tensors)} tensors for {sum(depths)} blocks')
        with torch.device('meta'):
            model = network(arch, out_indices=range(len(depths)))
            final_norm = getattr(model, f'norm{len(depths) - 1}')
            expected = model.state_dict() | final_norm.state_dict(prefix=FINAL_NORM)
            if 'head.fc.weight' in weights.tensors:
                classes = len(weights.tensors['head.fc.weight'])
                expected |= nn.Linear(final_norm.weight.shape[0], classes).state_dict(prefix='head.fc.')
    except (ValueError, TypeError, IndexError, ZeroDivisionError, RuntimeError) as error:
        raise CheckpointError(f'{weights.source} is no whole {weights.layout.network}: {error}') from None
    return expected
