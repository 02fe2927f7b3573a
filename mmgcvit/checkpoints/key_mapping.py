"""Key mappings: tables between external keys (of other implementations) and local keys, read both ways."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

# Patterns of placeholders. Odd and even blocks have different parameters.
DIGITS = {'number': r'\d+', 'even': r'\d*[02468]', 'odd': r'\d*[13579]'}

Parts = Mapping[str, str]
SAME: Parts = {'': ''}


@dataclass(frozen=True)
class KeyMapping:
    """A table between external and local keys.

    Attributes:
        name: Of the implementation, for messages.
        signature_key: A key that every checkpoint with this mapping has, and no other.
        rows: (external prefix, local prefix, {external part: local part} of what may follow). Placeholders such as
            ``{number}`` stand for digits, in the same order on both sides.
        network: The local class of the weights.
        ignored: A pattern of external keys to ignore.
        key: The format's name on the command line; None if it is not written.
        has_index: Whether checkpoints have an index beside each position table.
        convs: A pattern of local keys whose linear weights, (out, in), are external 1x1 convolutions, (out, in, 1, 1).
    """

    name: str
    signature_key: str
    rows: tuple[tuple[str, str, Parts], ...]
    network: str
    ignored: str = '(?!)'
    key: str | None = None
    has_index: bool = False
    convs: str = '(?!)'

    def to_local_key(self, external: str) -> str | None:
        """Return the local key of an external one, or None."""
        return rename(external, self.rows)

    def to_external_key(self, local: str) -> str | None:
        """Return the external key of a local one, or None."""
        reversed_rows = (
            (local, external, {new: old for old, new in parts.items()}) for external, local, parts in self.rows
        )
        return rename(local, reversed_rows)

    def to_local_shape(self, local: str, tensor: Tensor) -> Tensor:
        """Reshape an external tensor to its local shape."""
        return tensor.flatten(1) if re.search(self.convs, local) else tensor

    def to_external_shape(self, local: str, tensor: Tensor) -> Tensor:
        """Reshape a local tensor to its external shape."""
        return tensor[:, :, None, None] if re.search(self.convs, local) else tensor

    def is_ignored(self, external: str) -> bool:
        """Whether to ignore an external key."""
        return re.search(self.ignored, external) is not None


def make_own_mapping(network: str, signature_key: str) -> KeyMapping:
    """Make the mapping of this package's own checkpoints."""
    parts = ('stem.', 'stages.', 'downsamplers.', 'norm{number}.')
    return KeyMapping('mmgcvit', signature_key, tuple((part, part, SAME) for part in parts), network)


def rename(name: str, rows: Iterable[tuple[str, str, Parts]]) -> str | None:
    """Replace the prefix of a key by the other side of its row."""
    for source, target, parts in rows:
        pattern = re.sub(r'\\\{(\w+)\\\}', lambda kind: f'({DIGITS[kind[1]]})', re.escape(source))
        if module := re.match(pattern, name):
            inside = name[module.end() :]
            for old, new in parts.items():
                if inside.startswith(old):
                    return re.sub(r'\{\w+\}', '{}', target).format(*module.groups()) + new + inside[len(old) :]
    return None
