"""A network's weights in another of the layouts in which checkpoints exist, or as a classifier of mmpretrain."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..registry import MODELS
from .integrity import sha256
from .layout import Layout
from .loading import check_complete
from .reading import local_file
from .weights import FINAL_NORM, Weights, grid_in, table_of

INDEX = 'relative_position_index'
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


def mmpretrain_checkpoint(weights: Weights, arch: str, digest: str | None) -> dict[str, Any]:
    """The weights as a checkpoint of mmpretrain's ``ImageClassifier``: ``backbone.*``, ``head.fc.*`` and a ``meta``.

    The digest is that of the file that was read, if it was one.
    """
    state_dict = {}
    last_norm = norm_of_last_stage(weights.tensors)
    for name, tensor in weights.tensors.items():
        name = name.replace(FINAL_NORM, last_norm)
        state_dict[name if name.startswith('head.') else f'backbone.{name}'] = tensor
    meta = {
        'network': weights.layout.network,
        'arch': arch,
        'source': weights.source,
        'source_layout': weights.layout.name,
        'source_sha256': digest,
        'moving_average': weights.ema,
    }
    tables = filter(table_of, sorted(weights.tensors))
    firsts = (name for name in tables if re.match(r'stages\.\d+\.blocks\.0\.', name))
    # The windows (h, w) of the stages.
    if windows := tuple(table_of(name).stored_shape(weights.tensors, name) for name in firsts):
        meta['window_size'] = windows
    return {'meta': meta, 'state_dict': state_dict}


def state_dict_for(weights: Weights, layout: Layout) -> dict[str, Tensor]:
    """The weights under another layout's names; one without a place there, as detectors' output norms, is an error."""
    state_dict, homeless = {}, []
    for name, tensor in with_classifier_names(weights.tensors).items():
        there = layout.name_there(name)
        if there is None:
            homeless.append(name)
            continue
        state_dict[there] = layout.shape_there(name, tensor)
        table = table_of(name)
        if layout.has_index and hasattr(table, 'index_of'):
            window = table.stored_shape(weights.tensors, name)
            state_dict[there.replace(table.table_name, INDEX)] = table.index_of(window)
    if homeless:
        raise CheckpointError(f'the layout of {layout.name} has no place for {", ".join(sorted(homeless))}')
    return state_dict


def with_classifier_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Call the last output norm a classifier's final norm where it is the only one, as in checkpoints from here."""
    last_norm = norm_of_last_stage(tensors)
    norms = {name.split('.')[0] for name in tensors if re.match(r'norm\d+\.', name)}
    if norms != {last_norm.removesuffix('.')}:
        return dict(tensors)
    return {re.sub(f'^{re.escape(last_norm)}', FINAL_NORM, name): tensor for name, tensor in tensors.items()}


def norm_of_last_stage(tensors: Mapping[str, Tensor]) -> str:
    """What the names of the last stage's output norm begin with, for example ``norm3.``."""
    stages = [re.match(r'stages\.(\d+)\.', name) for name in tensors]
    return f'norm{max(int(stage[1]) for stage in stages if stage)}.'
