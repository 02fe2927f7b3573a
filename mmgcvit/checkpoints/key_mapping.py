"""Translate between state dict keys of other implementations (external keys) and of this package (local keys)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

# Regular expressions of the placeholders in rows. Even and odd blocks have different parameters.
PLACEHOLDERS = {'number': r'\d+', 'even': r'\d*[02468]', 'odd': r'\d*[13579]'}

Parts = Mapping[str, str]
SAME: Parts = {'': ''}  # what follows the prefix is the same on both sides


@dataclass(frozen=True)
class KeyMapping:
    """A table that translates between external and local keys.

    Attributes:
        name: The name of the implementation, for messages.
        signature_key: An external key that is in every checkpoint of the implementation, and in no other.
        rows: (external prefix, local prefix, {external part: local part}); a part is what may follow the prefix.
            Placeholders such as ``{number}`` stand for digits, in the same order on both sides.
        network: The name of the backbone class.
        ignored: A regular expression for external keys to ignore.
        key: The name for ``mmgcvit convert --to``, or None if checkpoints with these keys cannot be written.
        has_index: Whether checkpoints have a relative position index for each relative position bias table.
        convs: A regular expression for local keys of linear weights (out, in) that are external 1x1 convolutions
            (out, in, 1, 1).
    """

    name: str
    signature_key: str
    rows: tuple[tuple[str, str, Parts], ...]
    network: str
    ignored: str = '(?!)'  # matches nothing
    key: str | None = None
    has_index: bool = False
    convs: str = '(?!)'

    def to_local_key(self, external: str) -> str | None:
        """Return the local key of an external key, or None if no row matches."""
        return translate(external, self.rows)

    def to_external_key(self, local: str) -> str | None:
        """Return the external key of a local key, or None if no row matches."""
        reversed_rows = (
            (local_prefix, external_prefix, {new: old for old, new in parts.items()})
            for external_prefix, local_prefix, parts in self.rows
        )
        return translate(local, reversed_rows)

    def to_local_shape(self, local: str, tensor: Tensor) -> Tensor:
        """Reshape an external tensor to its local shape."""
        return tensor.flatten(1) if re.search(self.convs, local) else tensor

    def to_external_shape(self, local: str, tensor: Tensor) -> Tensor:
        """Reshape a local tensor to its external shape."""
        return tensor[:, :, None, None] if re.search(self.convs, local) else tensor

    def is_ignored(self, external: str) -> bool:
        """Return whether to ignore an external key."""
        return re.search(self.ignored, external) is not None


def make_own_mapping(network: str, signature_key: str) -> KeyMapping:
    """Make the mapping of this package's own checkpoints."""
    prefixes = ('stem.', 'stages.', 'downsamplers.', 'norm{number}.')
    return KeyMapping('mmgcvit', signature_key, tuple((prefix, prefix, SAME) for prefix in prefixes), network)


def translate(key: str, rows: Iterable[tuple[str, str, Parts]]) -> str | None:
    """Replace the prefix and the part of a key by those on the other side of its row; None if no row matches."""
    for source, target, parts in rows:
        pattern = re.sub(r'\\\{(\w+)\\\}', lambda placeholder: f'({PLACEHOLDERS[placeholder[1]]})', re.escape(source))
        if prefix := re.match(pattern, key):
            rest = key[prefix.end() :]
            for old, new in parts.items():
                if rest.startswith(old):
                    return re.sub(r'\{\w+\}', '{}', target).format(*prefix.groups()) + new + rest[len(old) :]
    return None
