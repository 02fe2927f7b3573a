"""Writing a network's weights in the layout of another code base, or as a classifier of mmpretrain."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..errors import CheckpointError
from .layout import Layout
from .weights import FINAL_NORM, Weights, table_of

INDEX = 'relative_position_index'


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
    if windows := window_sizes(weights.tensors):
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


def window_sizes(tensors: Mapping[str, Tensor]) -> tuple[tuple[int, int], ...]:
    """The windows (h, w) of the stages."""
    firsts = sorted(name for name in tensors if re.match(r'stages\.\d+\.blocks\.0\.', name) and table_of(name))
    return tuple(table_of(name).stored_shape(tensors, name) for name in firsts)
