"""Convert weights to the keys of mmpretrain or another implementation (external keys); save
checkpoints atomically.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from ..errors import CheckpointError, shorten
from ..host.config import get_config_path
from ..host.files import write_atomically
from ..host.runners import build_in_scope
from ..ops.requirements import check_installed
from ..version import __version__
from .checks import WHOLE_NETWORK, check_fit
from .dino import ADVICE, infer_dino_settings, translate_dino
from .grids import BACKBONE, infer_window_side, list_oblong
from .intact import raise_checkpoint_error
from .licences import LIMIT
from .loading import OUTPUT_NORMS
from .lora import merge_lora
from .published import describe_weights
from .translating import BIAS_TABLE, ArchError, KeyMapping, StateDict, get_shape, invert, translate
from .weights import FINAL_NORM, Weights

# The name of a buffer that some implementations store next to each relative position bias table.
INDEX_NAME = 'relative_position_index'
HEAD = 'head.fc.weight'


def save_checkpoint(
    state_dict: StateDict,
    path: Path,
    metadata: Mapping[str, str] | None = None,
    limit: str | None = None,
) -> None:
    """Save weights atomically: in a file with the suffix ``.safetensors``, also with further
    ``metadata``, or with ``torch.save`` under the key ``state_dict``.

    ``limit`` is what limits their use; the file says so.
    """
    with write_atomically(path) as unfinished:
        if path.suffix.lower() == '.safetensors':
            check_installed(f'writing {path}', 'safetensors')
            from safetensors.torch import save

            tensors = {name: x.contiguous() for name, x in state_dict.items()}
            # The save_file of safetensors would make a file that only its owner can read.
            noted = describe_weights(classes=None, backbone={}, limit=limit)
            written = {'format': 'pt', 'mmgcvit': __version__, **noted, **(metadata or {})}
            unfinished.write_bytes(save(tensors, written))
        else:
            content: dict[str, Any] = {'state_dict': state_dict}
            if limit:
                content['meta'] = {LIMIT: limit}
            torch.save(content, unfinished)


def convert(weights: Weights, to: str) -> StateDict:
    """Return a state dict with other keys.

    ``to`` is the ``short_name`` of one of the network's key mappings, or ``mmpretrain`` for its
    ``ImageClassifier``. LoRA matrices are merged into the weights. Raise a CheckpointError if
    ``to`` is another name or has no key for one of the weights, weights are missing, or windows or
    embedded maps are not square.
    """
    network = weights.network
    oblong = list_oblong(weights.tensors, network, weights.settings)
    if oblong:
        raise CheckpointError(
            f'{weights.source} has windows or embedded maps that are not square, in '
            f'{shorten(oblong)}. Only square ones have a place in other files. Use the file in '
            'a config with the window_size and pretrain_img_size that it was trained with'
        )
    tensors = merge_lora(weights.tensors, weights.source)
    with (
        # The class of the network raises a ValueError for numbers that cannot be.
        raise_checkpoint_error(
            f'{weights.source} has only a part of {network.__name__}', WHOLE_NETWORK, (ValueError,)
        ),
        torch.device('meta'),
    ):
        model = network(network.make_arch(tensors))
        expected = model.state_dict()
        expected |= nn.LayerNorm(model.num_features).state_dict(prefix=FINAL_NORM)
        if HEAD in tensors:
            num_classes = get_shape(tensors, HEAD, 2)[0]
            expected |= nn.Linear(model.num_features, num_classes).state_dict(prefix='head.fc.')
    optional = rf'{OUTPUT_NORMS}|{FINAL_NORM}'
    check_fit(weights.source, tensors, expected, network.__name__, optional=optional)
    for mapping in network.key_mappings:
        if mapping.short_name == to:
            return make_state_dict(tensors, mapping)
    if to != 'mmpretrain':
        formats = ['mmpretrain', *(m.short_name for m in network.key_mappings if m.short_name)]
        raise CheckpointError(
            f'weights of {network.__name__} cannot be converted to {to}. Choose one of '
            f'{", ".join(formats)}',
            arguments=['to'],
        )
    last_norm = get_last_norm(tensors)
    state_dict = {}
    for name, tensor in tensors.items():
        prefix = '' if name.startswith('head.') else BACKBONE
        state_dict[prefix + name.replace(FINAL_NORM, last_norm)] = tensor
    return state_dict


def convert_dino(weights: Weights) -> tuple[StateDict, Config] | None:
    """Return the state dict of mmdet's DINO, and its config, or None if the weights are not TAO's
    DINO.
    """
    source = weights.source
    tensors = translate_dino(weights.state_dict, source)
    if tensors is None:
        return None
    cfg = Config.fromfile(get_config_path('dino_gcvit_t_12e.py'))
    problem = f'{source} has only a part of DINO'
    with raise_checkpoint_error(problem, WHOLE_NETWORK, (ArchError,)):
        settings = infer_dino_settings(tensors, weights)
    cfg.merge_from_dict(settings)
    # mmdet's classes may raise any error for numbers that cannot be.
    with (
        raise_checkpoint_error(problem, WHOLE_NETWORK),
        build_in_scope('mmdet'),
        torch.device('meta'),
    ):
        expected = MODELS.build(deepcopy(cfg.model)).state_dict()  # mmdet changes the config
    check_fit(source, tensors, expected, "mmdet's DINO", ADVICE)
    return tensors, cfg


def make_state_dict(tensors: StateDict, key_mapping: KeyMapping) -> StateDict:
    """Return a state dict with a key mapping's external keys.

    Raise a CheckpointError if a tensor has none.
    """
    state_dict = {}
    rows = invert(key_mapping.rows)
    for name, tensor in rename_output_norm(tensors).items():
        external_key = translate(name, rows)
        if external_key is None:
            raise CheckpointError(
                f'{key_mapping.name} has no key for {name}. Choose mmpretrain', arguments=['to']
            )
        is_conv = re.search(key_mapping.convs, name)
        state_dict[external_key] = tensor[:, :, None, None] if is_conv else tensor
        if key_mapping.compute_position_index and name.endswith(BIAS_TABLE):
            index_key = external_key.replace(BIAS_TABLE, INDEX_NAME)
            side = infer_window_side(tensor)
            state_dict[index_key] = key_mapping.compute_position_index((side, side))
    return state_dict


def rename_output_norm(tensors: StateDict) -> StateDict:
    """Rename the last output norm to a classifier's final norm, if it is the only output norm."""
    last_norm = get_last_norm(tensors)
    renamed = {}
    for name, tensor in tensors.items():
        if name.startswith(last_norm):
            name = FINAL_NORM + name.removeprefix(last_norm)
        elif re.match(r'norm\d', name):  # there are other output norms
            return tensors
        renamed[name] = tensor
    return renamed


def get_last_norm(tensors: StateDict) -> str:
    """Return the prefix of the last stage's output norm, for example ``norm3.``."""
    stages = re.findall(r'\bstages\.(\d+)\.', ' '.join(tensors))
    return f'norm{max(map(int, stages))}.'
