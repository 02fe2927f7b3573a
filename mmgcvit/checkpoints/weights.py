"""Finding a network's weights in a checkpoint, by content: which dict, which prefix, whose layout."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, first_line, shorten
from ..registry import networks
from .layout import Layout
from .reading import read_checkpoint

EMA_KEYS = ('state_dict_ema', 'model_ema')
PLAIN_KEYS = ('state_dict', 'model')
# A classifier's norm before pooling: the last stage's output norm in a backbone here.
FINAL_NORM = 'final_norm.'
# The names of LoRALinear's own parameters end so.
LORA = ('.lora_up', '.lora_down')
LONGEST_NAME = 500


def known_layouts() -> list[Layout]:
    """The layouts of all registered networks; what a network inherits is its base's."""
    return [layout for network in networks().values() for layout in vars(network).get('layouts', ())]


def known_tables() -> dict[str, Any]:
    """The modules with position tables of all registered networks, by the end of the table's name."""
    return {
        module.table_name: module for network in networks().values() for module in getattr(network, 'table_types', ())
    }


def table_of(name: str) -> Any | None:
    """The type of module that has the position table of that name, None for another tensor."""
    return next((module for end, module in known_tables().items() if name.endswith(end)), None)


def comparable_shape(name: str, tensor: Tensor) -> tuple[int, ...]:
    """What of a tensor's shape must agree; a position table's rows, its last dimension but one, are resized."""
    return tuple(tensor.shape) if table_of(name) is None else (*tensor.shape[:-2], *tensor.shape[-1:])


def grid_in(tensors: Mapping[str, Tensor], table_name: str, source: str) -> tuple[int, int]:
    """The grid of a position table of a checkpoint, refused where it has none."""
    module = table_of(table_name)
    try:
        return module.grid_of(module.stored_shape(tensors, table_name))
    except ValueError as error:
        raise CheckpointError(f'{source}: {table_name}: {error}') from None


@dataclass
class Weights:
    """The weights of one network, under this package's names.

    Attributes:
        source: Where they come from, as the user named it.
        layout: Whose names the file has.
        prefix: What stands before them there, for example ``backbone.``.
        ema: Whether they are the exponential moving average that the file keeps beside the weights.
        tensors: Name here to tensor. ``final_norm.*`` and ``head.fc.*`` are a classifier's.
        ignored: Names in the file that hold nothing of the network.
    """

    source: str
    layout: Layout
    prefix: str
    ema: bool
    tensors: dict[str, Tensor]
    ignored: list[str] = field(default_factory=list)


def read_weights(
    source: str, prefix: str | None = None, ema: bool = False, network: type[nn.Module] | None = None
) -> Weights:
    """Read a network's weights from a checkpoint of any known layout.

    Args:
        source: See :func:`read_checkpoint`.
        prefix: Take the tensors under this prefix only, where a file holds several networks.
        ema: Take the exponential moving average of the weights where the file has one beside them.
        network: Whose weights are wanted, where two networks' layouts have one anchor.

    Raises:
        CheckpointError: The checkpoint cannot be read or holds no known network.
    """
    return weights_in(read_checkpoint(source), source, prefix, ema, network)


def weights_in(
    content: Any, source: str, prefix: str | None, ema: bool, network: type[nn.Module] | None = None
) -> Weights:
    """A network's weights in what a checkpoint holds; see :func:`read_weights`."""
    state_dict, is_ema = find_state_dict(content, source, ema)
    layout, found_prefix = find_layout(state_dict, source, prefix, network)
    weights = Weights(source, layout, found_prefix, is_ema, {})
    # A classifier's head stands beside the backbone.
    head = found_prefix.removesuffix('backbone.') + 'head.fc.'
    for name, tensor in state_dict.items():
        inside, here = name.removeprefix(found_prefix), None
        if name.startswith(found_prefix):
            here = layout.name_here(inside)
        elif name.startswith(head):
            here = 'head.fc.' + name.removeprefix(head)
        if here is not None:
            weights.tensors[here] = layout.shape_here(here, tensor)
        elif not layout.is_ignored(inside):
            weights.ignored.append(name)
    check_numbers(weights.tensors, source)
    merge_lora(weights.tensors)
    return weights


def merge_lora(tensors: dict[str, Tensor], prefix: str = '') -> None:
    """Make of layers with LoRA, under a prefix, plain ones: with the weights that ``LoRALinear`` computes with."""
    for name in [name for name in tensors if name.startswith(prefix) and name.endswith('.lora_up')]:
        layer = name.removesuffix('lora_up')
        try:
            addition = tensors.pop(name) @ tensors.pop(f'{layer}lora_down')
            tensors[f'{layer}weight'] = tensors[f'{layer}weight'] + addition
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f'{name} goes with no weight beside it: {first_line(error)}') from None


def find_state_dict(content: Any, source: str, ema: bool = False) -> tuple[dict[str, Tensor], bool]:
    """The dict of tensors inside what a checkpoint holds, and whether it is the moving average.

    That is insisted on by ``ema``; without, it is taken only where the file holds nothing else.
    """
    keys = EMA_KEYS if ema else (*PLAIN_KEYS, *EMA_KEYS)
    if isinstance(content, Mapping):
        for key in keys:
            if isinstance(content.get(key), Mapping) and tensors_of(content[key]):
                return named(tensors_of(content[key]), source), key in EMA_KEYS
        if tensors_of(content) and not ema:
            return named(tensors_of(content), source), False
    if ema:
        raise CheckpointError(
            f'{source} holds no moving average of the weights ({" or ".join(EMA_KEYS)}); leave ema out'
        )
    raise CheckpointError(
        f'{source} holds no weights: expected a dict of tensors, or one under {" or ".join(keys)}. Within objects of '
        'classes, which could run code, none are looked for: of a file of your own, --trust-checkpoint lets it'
    )


def named(state_dict: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """A state dict whose names are text that prints and ends."""
    for name in state_dict:
        if not isinstance(name, str) or not name.isprintable() or len(name) > LONGEST_NAME:
            raise CheckpointError(f'{source} holds a tensor whose name is no name: {name!r:.80}')
    return state_dict


def tensors_of(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The entries of a dict that are tensors."""
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}


def find_layout(
    state_dict: Mapping[str, Tensor], source: str, prefix: str | None, network: type[nn.Module] | None = None
) -> tuple[Layout, str]:
    """Whose layout a state dict has, and what stands before the names."""
    found = [
        (layout, name.removesuffix(layout.anchor))
        for layout in known_layouts()
        for name in state_dict
        if name == layout.anchor or name.endswith(f'.{layout.anchor}')
    ]
    if prefix is not None:
        wanted = f'{prefix.rstrip(".")}.' if prefix else ''
        found = [(layout, before) for layout, before in found if before == wanted]
    if len(found) > 1 and network is not None and len({before for _, before in found}) == 1:
        names = [base.__name__ for base in network.__mro__]
        found = [(layout, before) for layout, before in found if layout.network in names] or found
    if len(found) == 1:
        return found[0]
    if len({before for _, before in found}) == 1:
        layouts = ' and '.join(layout.name for layout, _ in found)
        raise CheckpointError(f'{source} may be of {layouts}, whose layouts know a network by the same tensor')
    if found:
        prefixes = ', '.join(repr(before) for _, before in found)
        raise CheckpointError(f'{source} holds several networks, under {prefixes}; name one as prefix')
    known = ', '.join(dict.fromkeys(layout.name for layout in known_layouts()))
    under = f' under the prefix {prefix!r}' if prefix else ''
    some = ', '.join(list(state_dict)[:4])
    raise CheckpointError(
        f'{source} holds no network of this package{under}: its {len(state_dict)} tensors are {some}, ...; known '
        f'layouts: {known}'
    )


def check_numbers(tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuse tensors that are no weights. Whole numbers and truth values are let by: buffers may be such."""
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
