"""Translate state dict keys: external keys (another implementation's) to local keys (this
package's), and back; and infer a network's arch from the shapes of its weights.

Networks import this file at their start, which imports torch only. The readers are imported when
weights are loaded.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# Regular expressions of the placeholders in rows. GC ViT's even and odd blocks have different
# parameters.
PLACEHOLDERS = {'{number}': r'\d+', '{even}': r'\d*[02468]', '{odd}': r'\d*[13579]'}

NOTHING = '(?!)'  # a regular expression that matches nothing
BIAS_TABLE = 'relative_position_bias_table'
StateDict = dict[str, Tensor]  # the tensors of a network or a file by key
Parts = Mapping[str, str]  # from a part of external keys to a part of local keys
SAME: Parts = {'': ''}  # what follows the prefix is the same in the external and the local key
Row = tuple[str, str, Parts]


@dataclass(frozen=True)
class KeyMapping:
    """A table that translates between external and local keys.

    A row (external prefix, local prefix, {external part: local part}) translates keys that consist
    of the prefix, one of the parts, and any rest, which stays the same. Placeholders such as
    ``{number}`` are digits, in the same order.
    """

    name: str  # of the implementation, for messages
    # The external key by which this implementation's checkpoints are recognised; no others have it
    signature_key: str
    rows: tuple[Row, ...]
    # A regular expression for external keys that are not needed
    ignored: str = NOTHING
    # The name by which :func:`.convert` is asked for it; None: checkpoints with these keys cannot
    # be written
    short_name: str | None = None
    # Computes the relative position index of a window (h, w), which checkpoints have beside each
    # bias table
    compute_position_index: Callable[[tuple[int, int]], Tensor] | None = None
    # A regular expression for the local keys of linear weights that are 1x1 convolutions there
    convs: str = NOTHING


def make_own_mapping(signature_key: str) -> KeyMapping:
    """Make the mapping of this package's own checkpoints."""
    prefixes = ('stem.', 'stages.', 'downsamplers.', 'norm{number}.')
    rows = tuple((prefix, prefix, SAME) for prefix in prefixes)
    return KeyMapping('mmgcvit', signature_key, rows)


def translate(key: str, rows: Iterable[Row]) -> str | None:
    """Translate a key by the first row (prefix, new prefix, {part: new part}) that matches, or
    return None.
    """
    for prefix, new_prefix, parts in rows:
        pattern = re.escape(prefix)
        for placeholder, digits in PLACEHOLDERS.items():
            pattern = pattern.replace(re.escape(placeholder), f'({digits})')
        match = re.match(pattern, key)
        if match is None:
            continue
        rest = key[match.end() :]
        for part, new_part in parts.items():
            if rest.startswith(part):
                filled = re.sub(r'\{\w+\}', '{}', new_prefix).format(*match.groups())
                return filled + new_part + rest.removeprefix(part)
    return None


def invert(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that translate in the other direction."""
    inverse: list[Row] = []
    for prefix, new_prefix, parts in rows:
        inverse.append((new_prefix, prefix, {new_part: part for part, new_part in parts.items()}))
    return inverse


class ArchError(ValueError):
    """Weights lack a tensor that decides the arch, or its shape cannot be right."""


def get_shape(tensors: Mapping[str, Tensor], name: str, num_dims: int | None = None) -> torch.Size:
    """Return the shape of a tensor from which the arch is inferred, with ``num_dims`` or any number
    of dimensions.

    Raise an ArchError if the tensor is missing, is empty or a scalar, or has another number of
    dimensions.
    """
    if name not in tensors:
        raise ArchError(f'it lacks {name}')
    shape = tensors[name].shape
    has_dims = len(shape) > 0 if num_dims is None else len(shape) == num_dims
    if not has_dims or 0 in shape:
        raise ArchError(f'{name} has the shape {tuple(shape)}')
    return shape


@dataclass(frozen=True)
class Arch:
    """What the shapes of a network's weights show of its arch."""

    # The published variants of which they show the same: one or none for weights of all stages
    names: list[str]
    attributes: dict[str, Any]  # what they show, by name

    def __str__(self) -> str:
        """Return the names, ``'tiny' or 'tiny2'``, or without a name ``of embed_dims 8, depths (2,
        2, 2, 2), ...``.
        """
        if self.names:
            return ' or '.join(map(repr, self.names))
        sizes = []
        for name, value in self.attributes.items():
            rounded = f'{value:.4g}' if isinstance(value, float) else value
            sizes.append(f'{name} {rounded}')
        return f'of {", ".join(sizes)}'
