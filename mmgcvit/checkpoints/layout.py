"""Key layouts: how another code base names the tensors of a network, as a table read in both directions."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

# What a placeholder of a table stands for. Odd and even blocks differ in what they hold.
DIGITS = {'number': r'\d+', 'even': r'\d*[02468]', 'odd': r'\d*[13579]'}

Parts = Mapping[str, str]
SAME: Parts = {'': ''}


@dataclass(frozen=True)
class Layout:
    """The names of one code base against the names here.

    Attributes:
        name: Whose layout it is, for messages.
        anchor: A tensor that every checkpoint of the layout has and no other layout names so.
        rows: Prefixes of names (theirs, here, and what may follow: their part to the part here). Placeholders such as
            ``{number}`` stand for digits and come in the same order on both sides.
        network: The class here that the weights belong to.
        ignored: A pattern of names that hold nothing to load.
        key: What a command line calls it, None where it is not written.
        has_index: Whether its checkpoints hold each position table's index beside it.
        convs: A pattern of names here whose linear weights, (out, in), are 1x1 convolutions there, (out, in, 1, 1).
    """

    name: str
    anchor: str
    rows: tuple[tuple[str, str, Parts], ...]
    network: str
    ignored: str = '(?!)'
    key: str | None = None
    has_index: bool = False
    convs: str = '(?!)'

    def name_here(self, theirs: str) -> str | None:
        """The name here of one of their tensors, None if the layout has no such tensor."""
        return rename(theirs, self.rows)

    def name_there(self, ours: str) -> str | None:
        """Their name of a tensor here, None if their network has no such tensor."""
        turned = ((here, there, {new: old for old, new in parts.items()}) for there, here, parts in self.rows)
        return rename(ours, turned)

    def shape_here(self, ours: str, tensor: Tensor) -> Tensor:
        """One of their tensors in the shape that it has here."""
        return tensor.flatten(1) if re.search(self.convs, ours) else tensor

    def shape_there(self, ours: str, tensor: Tensor) -> Tensor:
        """A tensor here in the shape that it has there."""
        return tensor[:, :, None, None] if re.search(self.convs, ours) else tensor

    def is_ignored(self, theirs: str) -> bool:
        """Whether one of their tensors holds nothing to load."""
        return re.search(self.ignored, theirs) is not None


def layout_here(network: str, anchor: str) -> Layout:
    """The layout that checkpoints of this package have, whose names are those here, of a pyramid backbone."""
    parts = ('stem.', 'stages.', 'downsamplers.', 'norm{number}.')
    return Layout('mmgcvit', anchor, tuple((part, part, SAME) for part in parts), network)


def rename(name: str, rows: Iterable[tuple[str, str, Parts]]) -> str | None:
    """Find the row that a name begins with, and put the other side in its place."""
    for source, target, parts in rows:
        pattern = re.sub(r'\\\{(\w+)\\\}', lambda kind: f'({DIGITS[kind[1]]})', re.escape(source))
        if module := re.match(pattern, name):
            inside = name[module.end() :]
            for old, new in parts.items():
                if inside.startswith(old):
                    return re.sub(r'\{\w+\}', '{}', target).format(*module.groups()) + new + inside[len(old) :]
    return None
