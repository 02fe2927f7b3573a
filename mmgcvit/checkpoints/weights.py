"""Find a network's weights in a checkpoint by content: which dict, which prefix, whose key mapping."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError, get_first_line, shorten
from ..registry import list_networks
from .key_mapping import KeyMapping
from .reading import read_checkpoint

EMA_KEYS = ('state_dict_ema', 'model_ema')
PLAIN_KEYS = ('state_dict', 'model')
# A classifier's norm before pooling: the last stage's output norm in a backbone here.
FINAL_NORM = 'final_norm.'
# The names of LoRALinear's own parameters end so.
LORA = ('.lora_up', '.lora_down')


def list_key_mappings() -> list[KeyMapping]:
    """List the key mappings of all registered networks."""
    return [
        key_mapping for network in list_networks().values() for key_mapping in vars(network).get('key_mappings', ())
    ]


def get_table_type(name: str) -> Any | None:
    """The type of module that has the position table of that name, None for another tensor."""
    types = (module for network in list_networks().values() for module in getattr(network, 'table_types', ()))
    return next((module for module in types if name.endswith(module.table_name)), None)


def get_comparable_shape(name: str, tensor: Tensor) -> tuple[int, ...]:
    """What of a tensor's shape must agree; a position table's rows, its last dimension but one, are resized."""
    return tuple(tensor.shape) if get_table_type(name) is None else (*tensor.shape[:-2], *tensor.shape[-1:])


def check_grid(name: str, table: Tensor, source: str, own: Tensor | None = None) -> None:
    """Raise a CheckpointError unless a position table has the rows of a square grid or of the model's own."""
    num_rows = table.shape[-2]
    if isqrt(num_rows) ** 2 != num_rows and (own is None or num_rows != own.shape[-2]):
        raise CheckpointError(f'{source}: {name} has {num_rows} rows; expected those of a square grid')


@dataclass
class Weights:
    """The weights of a network with local keys.

    Attributes:
        source: The file, URL or name.
        key_mapping: The file's key mapping.
        prefix: Their prefix in the file, for example ``backbone.``.
        ema: Whether they are EMA weights.
        tensors: By local key. ``final_norm.*`` and ``head.fc.*`` are a classifier's.
        ignored: Other keys in the file.
    """

    source: str
    key_mapping: KeyMapping
    prefix: str
    ema: bool
    tensors: dict[str, Tensor]
    ignored: list[str] = field(default_factory=list)


def read_weights(source: str, prefix: str | None = None, ema: bool = False, trusted: bool = False) -> Weights:
    """Read a network's weights from a checkpoint of any known key mapping.

    Args:
        source: See :func:`read_checkpoint`.
        prefix: Use the tensors with this prefix, if a file has several networks.
        ema: Use the EMA weights.
        trusted: See :func:`read_checkpoint`.

    Raises:
        CheckpointError: The checkpoint cannot be read or holds no known network.
    """
    content = read_checkpoint(source, trusted)
    state_dict, is_ema = find_state_dict(content, source, ema)
    key_mapping, found_prefix = find_key_mapping(state_dict, source, prefix)
    weights = Weights(source, key_mapping, found_prefix, is_ema, {})
    # A classifier's head stands beside the backbone.
    head = found_prefix.removesuffix('backbone.') + 'head.fc.'
    for name, tensor in state_dict.items():
        inside, here = name.removeprefix(found_prefix), None
        if name.startswith(found_prefix):
            here = key_mapping.to_local_key(inside)
        elif name.startswith(head):
            here = 'head.fc.' + name.removeprefix(head)
        if here is not None:
            weights.tensors[here] = key_mapping.to_local_shape(here, tensor)
        elif not key_mapping.is_ignored(inside):
            weights.ignored.append(name)
    check_finite(weights.tensors, source)
    merge_lora(weights.tensors)
    return weights


def merge_lora(tensors: dict[str, Tensor], prefix: str = '') -> None:
    """Add the LoRA of the layers under a prefix to their weights, in place."""
    for name in [name for name in tensors if name.startswith(prefix) and name.endswith('.lora_up')]:
        layer = name.removesuffix('lora_up')
        try:
            addition = tensors.pop(name) @ tensors.pop(f'{layer}lora_down')
            tensors[f'{layer}weight'] = tensors[f'{layer}weight'] + addition
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f'{name} does not fit a weight beside it: {get_first_line(error)}') from None


def find_state_dict(content: Any, source: str, ema: bool = False) -> tuple[dict[str, Tensor], bool]:
    """Find the dict of tensors in a checkpoint's content; return it, and whether it is EMA.

    ``ema`` requires EMA weights; without it they are used only if there are no others.
    """
    keys = EMA_KEYS if ema else (*PLAIN_KEYS, *EMA_KEYS)
    if isinstance(content, Mapping):
        for key in keys:
            if isinstance(content.get(key), Mapping) and (tensors := select_tensors(content[key])):
                return tensors, key in EMA_KEYS
        if (tensors := select_tensors(content)) and not ema:
            return tensors, False
    if ema:
        raise CheckpointError(f'{source} has no EMA weights ({" or ".join(EMA_KEYS)}); remove ema')
    raise CheckpointError(
        f'{source} has no weights: expected a dict of tensors, or one under {" or ".join(keys)}. Objects of other '
        'classes are ignored, as they could run code; for your own file use --trust-checkpoint'
    )


def select_tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Select the tensors of a dict."""
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}


def find_key_mapping(state_dict: Mapping[str, Tensor], source: str, prefix: str | None) -> tuple[KeyMapping, str]:
    """Find the key mapping of a state dict by its signature key; return it and the prefix of the keys."""
    found = [
        (key_mapping, name.removesuffix(key_mapping.signature_key))
        for key_mapping in list_key_mappings()
        for name in state_dict
        if name == key_mapping.signature_key or name.endswith(f'.{key_mapping.signature_key}')
    ]
    if prefix is not None:
        wanted = f'{prefix.rstrip(".")}.' if prefix else ''
        found = [(key_mapping, before) for key_mapping, before in found if before == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        prefixes = ', '.join(repr(before) for _, before in found)
        raise CheckpointError(f'{source} has several networks, with the prefixes {prefixes}; choose one by prefix')
    known = ', '.join(dict.fromkeys(key_mapping.name for key_mapping in list_key_mappings()))
    under = f' under the prefix {prefix!r}' if prefix else ''
    raise CheckpointError(
        f'{source} has no network of this package{under}: its {len(state_dict)} tensors are '
        f'{shorten(list(state_dict), 4)}; known: {known}'
    )


def check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise a CheckpointError that names the tensors with NaN or infinity."""
    wrong = [name for name, tensor in tensors.items() if not are_finite(tensor)]
    if wrong:
        raise CheckpointError(
            f'{source} has {len(wrong)} tensors with NaN or infinity: {shorten(wrong)}; use an earlier checkpoint'
        )


def are_finite(tensor: Tensor) -> bool:
    """Whether all values are finite."""
    return bool(torch.isfinite(tensor.detach()).all())
