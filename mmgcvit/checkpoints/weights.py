"""Find a network's weights in a checkpoint: the state dict, the prefix of the keys and the key
mapping.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..errors import CheckpointError, shorten
from ..registry import list_networks
from .checks import ADAPTERS, check_finite, check_no_foreign
from .grids import BACKBONE
from .published import read_backbone_settings
from .reading import read_checkpoint
from .translating import KeyMapping, StateDict, translate

# Keys of a checkpoint under which a state dict may be, with EMA weights and with other weights.
EMA_KEYS = ('state_dict_ema', 'model_ema')
PLAIN_KEYS = ('state_dict', 'model')
TOP_LEVEL = 'the top level'  # stands for the checkpoint itself in messages
# Prefix of a classifier's norm before pooling. In a backbone this norm is the output norm of the
# last stage.
FINAL_NORM = 'final_norm.'
# Parts of a file that may have the prefix of the network without belonging to it.
PARTS_BESIDE = r'(neck|\w*head|fc|classifier|data_preprocessor)\.'
COMPILED_PREFIX = '_orig_mod.'  # of torch.compile
# A subclass of PyramidBackbone. Without key_mappings of its own, it can load the weights of the
# class it inherits from.
Network = type[Any]


@dataclass(frozen=True)
class Weights:
    """The weights of a network, with local keys."""

    source: str  # the file, URL or timm://NAME they were read from
    network: Network  # the class of backbones that they belong to
    key_mapping: KeyMapping  # from the file's keys (external keys) to local keys
    ema: bool  # whether the tensors are EMA weights
    tensors: StateDict  # by local key; only classifiers have final_norm.* and head.fc.*
    # Keys without a local key, except those that key_mapping ignores
    unused: list[str]
    state_dict: StateDict  # all tensors of the file, its own keys
    # Those of the backbone's training, as far as the file says them (:mod:`.grids`)
    settings: Mapping[str, Any]


def read_weights(source: str, prefix: str | None = None, ema: bool = False) -> Weights:
    """Read a network's weights from a checkpoint (:func:`read_checkpoint`) of any implementation
    with a key mapping.

    If a file has several networks, ``prefix`` must be the prefix of the network's keys, for example
    ``backbone.``. ``ema`` requires EMA weights. Raise a CheckpointError if the checkpoint has no
    known network.
    """
    content = read_checkpoint(source)
    state_dict, is_ema = find_state_dict(content, source, ema)
    network, key_mapping, prefix = find_network(state_dict, source, prefix)
    tensors = {}
    unused = []
    foreign = []
    for name, tensor in state_dict.items():
        external_key = name.removeprefix(prefix)
        local_key = find_local_key(name, prefix, key_mapping)
        if local_key is not None:
            is_conv = tensor.ndim > 1 and re.search(key_mapping.convs, local_key)
            tensors[local_key] = tensor.flatten(1) if is_conv else tensor
        elif re.search(key_mapping.ignored, external_key):
            continue
        elif name.startswith(prefix) and not is_beside(external_key, prefix, key_mapping):
            foreign.append(name)
        else:
            unused.append(name)
    check_no_foreign(source, foreign, f'{network.__name__} ({key_mapping.name} keys)')
    check_finite(source, tensors)
    settings = read_backbone_settings(content, source) if prefix == BACKBONE else {}
    return Weights(source, network, key_mapping, is_ema, tensors, unused, state_dict, settings)


def find_state_dict(content: Any, source: str, ema: bool = False) -> tuple[StateDict, bool]:
    """Return a checkpoint's state dict, and whether its weights are EMA weights: if ``ema`` or if
    it has no others.
    """
    places = {**content, TOP_LEVEL: content} if isinstance(content, Mapping) else {}
    keys = EMA_KEYS if ema else (*PLAIN_KEYS, *EMA_KEYS, TOP_LEVEL)
    for key in keys:
        tensors = select_tensors(places.get(key))
        if tensors:
            return tensors, key in EMA_KEYS
    advice = 'If it has a whole model (nn.Module), save its state_dict()'
    if ema:
        advice = f'If it has no EMA weights, ask for the others. {advice}'
    raise CheckpointError(f'{source} has no weights under {", ".join(keys)}. {advice}')


def select_tensors(content: Any) -> StateDict:
    """Return the entries of a dict that are tensors with str keys, without torch.compile's
    prefixes. Anything else has none.
    """
    if not isinstance(content, Mapping):
        return {}
    return {
        name.replace(COMPILED_PREFIX, ''): value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def find_network(
    state_dict: StateDict, source: str, prefix: str | None
) -> tuple[Network, KeyMapping, str]:
    """Find the network in a state dict by the ``signature_key`` of a key mapping. Return it, the
    key mapping, and the prefix before the key.

    If ``prefix`` is given, only under this one. Raise a CheckpointError if there is none, or if
    there are several.
    """
    matches = []
    for network, key_mapping in list_key_mappings():
        for name in state_dict:
            found_prefix = name.removesuffix(key_mapping.signature_key)
            is_signature = found_prefix != name
            is_whole_key = not found_prefix or found_prefix.endswith('.')
            if (
                is_signature
                and is_whole_key
                and prefix in (None, found_prefix, found_prefix.rstrip('.'))
            ):
                matches.append((network, key_mapping, found_prefix))
    if len(matches) == 1:
        return matches[0]
    if matches:
        prefixes = ', '.join(repr(found_prefix) for *_, found_prefix in matches)
        raise CheckpointError(
            f'{source} has several networks, with the prefixes {prefixes}. Choose one as prefix'
        )
    place = f' under the prefix {prefix!r}' if prefix else ''
    raise CheckpointError(
        f'{source} is not a checkpoint of GC ViT or LSA{place}. Its {len(state_dict)} keys '
        f'({shorten(list(state_dict), 4)}) are not known. Use another checkpoint'
    )


def list_key_mappings() -> list[tuple[Network, KeyMapping]]:
    """Return each registered network with each of its key mappings."""
    return [
        (network, mapping)
        for network in list_networks().values()
        for mapping in vars(network).get('key_mappings', ())
    ]


def find_local_key(name: str, prefix: str, key_mapping: KeyMapping) -> str | None:
    """Return the local key of a key of a file, or None if it has none.

    ``prefix`` is that of the network's keys. A classifier's head is beside its backbone.
    """
    head_prefix = prefix.removesuffix(BACKBONE) + 'head.fc.'
    if name.startswith(prefix):
        return translate(name.removeprefix(prefix), key_mapping.rows)
    if name.startswith(head_prefix):
        return 'head.fc.' + name.removeprefix(head_prefix)
    return None


def is_beside(key: str, prefix: str, key_mapping: KeyMapping) -> bool:
    """Return whether an external key belongs to another part than the network, such as a neck.

    Beside a network whose keys have no prefix of a backbone, such parts may have any names but
    those of the network's modules and of adapters.
    """
    if re.match(PARTS_BESIDE, key):
        return True
    if prefix.endswith((BACKBONE, 'body.')) or re.search(ADAPTERS, key):
        return False
    modules = {re.split(r'[.{]', external_prefix)[0] for external_prefix, *_ in key_mapping.rows}
    return re.sub(r'\d+$', '', key.partition('.')[0]) not in modules
