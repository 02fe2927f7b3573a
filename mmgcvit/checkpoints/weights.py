"""Find a network's weights in a checkpoint: the state dict, the prefix of the keys and the key mapping.

A key mapping translates a file's keys (external keys) to those of this package's models (local keys).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from ..errors import CheckpointError, format_count, get_first_line, shorten
from ..registry import list_networks
from .key_mapping import KeyMapping
from .reading import read_checkpoint

# Keys of a checkpoint under which a state dict may be, with EMA weights and with other weights.
EMA_KEYS = ('state_dict_ema', 'model_ema')
PLAIN_KEYS = ('state_dict', 'model')
# Prefix of a classifier's norm before pooling. In a backbone this norm is the output norm of the last stage.
FINAL_NORM = 'final_norm.'
# The prefix that DistributedDataParallel adds to keys.
MODULE_PREFIX = re.compile(r'^(module\.)+')
# Suffixes of LoRALinear's own parameters.
LORA_SUFFIXES = ('.lora_up', '.lora_down')


def list_key_mappings() -> list[KeyMapping]:
    """List the key mappings of all registered networks."""
    return [
        key_mapping for network in list_networks().values() for key_mapping in vars(network).get('key_mappings', ())
    ]


def find_position_class(name: str) -> Any | None:
    """Return the class of module (relative position bias or position embedding) whose table a key names, or None."""
    types = (module for network in list_networks().values() for module in getattr(network, 'table_types', ()))
    return next((module for module in types if name.endswith(module.table_name)), None)


def get_comparable_shape(name: str, tensor: Tensor) -> tuple[int, ...]:
    """Return the dimensions that must match: all but the number of rows (-2) of position tables, which are resized."""
    return (*tensor.shape[:-2], *tensor.shape[-1:]) if is_position_table(name) else tuple(tensor.shape)


def is_position_table(name: str) -> bool:
    """Return whether a key names a position table: a relative position bias table or a position embedding."""
    return find_position_class(name) is not None


def check_position_table(name: str, table: Tensor, source: str, model_table: Tensor | None = None) -> None:
    """Raise a CheckpointError if a table cannot be resized, because its number of rows is not a square.

    A table with as many rows as ``model_table`` needs no resizing.
    """
    num_rows = table.shape[-2]
    if isqrt(num_rows) ** 2 != num_rows and (model_table is None or num_rows != model_table.shape[-2]):
        raise CheckpointError(
            f'{source}: {name} has {num_rows} rows. Expected a square number, that is one row for each position of a '
            'square grid. Use a checkpoint of a model with square windows and images'
        )


@dataclass
class Weights:
    """The weights of a network, with local keys.

    Attributes:
        source: The file, URL or ``timm://NAME`` they were read from.
        key_mapping: The mapping from the file's keys (external keys) to local keys.
        prefix: The prefix of the network's keys in the file, for example ``backbone.``.
        ema: Whether the tensors are EMA weights.
        tensors: The tensors by local key. Only classifiers have ``final_norm.*`` and ``head.fc.*``.
        unused: The keys in the file that have no local key, except those that ``key_mapping`` ignores.
    """

    source: str
    key_mapping: KeyMapping
    prefix: str
    ema: bool
    tensors: dict[str, Tensor]
    unused: list[str] = field(default_factory=list)


def read_weights(source: str, prefix: str | None = None, ema: bool = False, trusted: bool = False) -> Weights:
    """Read a network's weights from a checkpoint of any implementation in :func:`list_key_mappings`.

    Args:
        source: See :func:`read_checkpoint`.
        prefix: The prefix of the network's keys. It is needed if a file has several networks.
        ema: Use the EMA weights.
        trusted: See :func:`read_checkpoint`.

    Raises:
        CheckpointError: The checkpoint cannot be read or holds no known network.
    """
    content = read_checkpoint(source, trusted)
    state_dict, is_ema = find_state_dict(content, source, ema)
    key_mapping, found_prefix = find_key_mapping(state_dict, source, prefix)
    weights = Weights(source, key_mapping, found_prefix, is_ema, {})
    # The keys of a classifier's head are not under the backbone's prefix.
    head_prefix = found_prefix.removesuffix('backbone.') + 'head.fc.'
    for name, tensor in state_dict.items():
        external_key, local_key = name.removeprefix(found_prefix), None
        if name.startswith(found_prefix):
            local_key = key_mapping.to_local_key(external_key)
        elif name.startswith(head_prefix):
            local_key = 'head.fc.' + name.removeprefix(head_prefix)
        if local_key is not None:
            weights.tensors[local_key] = key_mapping.to_local_shape(local_key, tensor)
        elif not key_mapping.is_ignored(external_key):
            weights.unused.append(name)
    check_finite(weights.tensors, source)
    merge_lora(weights.tensors)
    return weights


def merge_lora(tensors: dict[str, Tensor], prefix: str = '') -> None:
    """Merge LoRA's updates into the weights of all layers whose names begin with ``prefix``, in place."""
    for name in [name for name in tensors if name.startswith(prefix) and name.endswith('.lora_up')]:
        layer = name.removesuffix('lora_up')
        try:
            update = tensors.pop(name) @ tensors.pop(f'{layer}lora_down')
            tensors[f'{layer}weight'] = tensors[f'{layer}weight'] + update
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f'the LoRA tensor {name} does not fit its linear layer ({get_first_line(error)}). Use another '
                'checkpoint'
            ) from None


def find_state_dict(content: Any, source: str, ema: bool = False) -> tuple[dict[str, Tensor], bool]:
    """Find the state dict in a checkpoint's content. Return it, and whether its weights are EMA weights.

    If ``ema`` is set, EMA weights are required. Otherwise they are used only if there are no other weights.
    """
    keys = EMA_KEYS if ema else (*PLAIN_KEYS, *EMA_KEYS)
    if isinstance(content, Mapping):
        for key in keys:
            if isinstance(content.get(key), Mapping) and (tensors := select_tensors(content[key])):
                return tensors, key in EMA_KEYS
        if (tensors := select_tensors(content)) and not ema:
            return tensors, False
    if ema:
        raise CheckpointError(
            f'{source} has no EMA weights: it lacks the keys {" and ".join(map(repr, keys))}. Remove --ema (in a '
            'config or in Python: ema=True)'
        )
    raise CheckpointError(
        f'{source} has no weights. Expected a dict of tensors, or a dict with one of the keys '
        f'{", ".join(map(repr, keys))} that contains a dict of tensors. If the file contains a whole model '
        '(nn.Module), save its state_dict() in the program that wrote the file'
    )


def select_tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the entries of a dict that are tensors with str keys."""
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}


def find_key_mapping(state_dict: Mapping[str, Tensor], source: str, prefix: str | None) -> tuple[KeyMapping, str]:
    """Find the key mapping whose ``signature_key`` is in a state dict. Return it, and the prefix of that key."""
    matches = [
        (key_mapping, name.removesuffix(key_mapping.signature_key))
        for key_mapping in list_key_mappings()
        for name in state_dict
        if name == key_mapping.signature_key or name.endswith(f'.{key_mapping.signature_key}')
    ]
    if prefix is not None:
        prefix_with_dot = f'{prefix.rstrip(".")}.' if prefix else ''
        matches = [match for match in matches if match[1] == prefix_with_dot]
    if len(matches) == 1:
        return matches[0]
    if matches:
        prefixes = ', '.join(repr(found_prefix) for _, found_prefix in matches)
        raise CheckpointError(
            f'{source} has several networks, with the prefixes {prefixes}. Choose one with --prefix (in a config or in '
            'Python: prefix=...)'
        )
    known = ', '.join(dict.fromkeys(key_mapping.name for key_mapping in list_key_mappings()))
    with_prefix = f' under the prefix {prefix!r}' if prefix else ''
    raise CheckpointError(
        f'{source} is not a checkpoint of GC ViT or LSA{with_prefix}. Its {len(state_dict)} keys '
        f'({shorten(list(state_dict), 4)}) are not those of a known implementation ({known}). Use another checkpoint'
    )


def check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise a CheckpointError that names the tensors with NaN or infinity."""
    invalid = [name for name, tensor in tensors.items() if not are_finite(tensor)]
    if invalid:
        raise CheckpointError(
            f'{source} has {format_count(len(invalid), "tensor")} with NaN or infinity ({shorten(invalid)}). Use an '
            'earlier checkpoint'
        )


def are_finite(tensor: Tensor) -> bool:
    """Return whether all values of a tensor are finite."""
    return bool(torch.isfinite(tensor.detach()).all())


def get_running_statistics(model: nn.Module) -> dict[str, Tensor]:
    """Return the running statistics (buffers) of batch and instance norms by name."""
    return {
        f'{prefix}.{name}' if prefix else name: buffer
        for prefix, module in model.named_modules()
        if isinstance(module, _NormBase)
        for name, buffer in module.named_buffers(recurse=False)
    }
