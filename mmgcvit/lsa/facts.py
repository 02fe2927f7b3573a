"""What weights tell of the variant that they belong to.

They do not tell which shifts there are, how they are made, or into how many heads a full set of keys and values is
split: two variants that differ in that only look the same.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from .archs import ARCHS, LSAArch

FIRST_POSITION = 'stages.0.position.pos_embed'
FIRST_HIDDEN = 'stages.0.blocks.0.mlp.fc1.weight'
FIRST_CONV = 'stem.convs.0.weight'


class Facts(NamedTuple):
    """What weights tell of their variant; zeros where a tensor is missing."""

    embed_dims: tuple[int, ...]
    depths: tuple[int, ...]
    kv_dims: tuple[int, ...]
    hidden_dims: int
    kernel_size: int
    num_convs: int
    position_copies: tuple[int, ...]

    @classmethod
    def of(cls, arch: LSAArch, num_stages: int) -> 'Facts':
        """The facts of a known variant's first stages."""
        heads = zip(arch.embed_dims, arch.num_heads, arch.num_kv_heads, strict=True)
        return cls(
            embed_dims=arch.embed_dims[:num_stages],
            depths=arch.depths[:num_stages],
            kv_dims=tuple(channels // q * kv for channels, q, kv in heads)[:num_stages],
            hidden_dims=int(arch.embed_dims[0] * arch.mlp_ratio),
            kernel_size=arch.kernel_size,
            num_convs=1 if arch.shifts is None or arch.shared_conv else len(arch.shifts),
            position_copies=arch.position_copies,
        )

    def arch(self) -> dict[str, Any]:
        """An ``arch`` argument for a network with all of these tensors; what weights do not tell is made up."""
        num_copies = max(self.num_convs, *self.position_copies, 1)
        return {
            'embed_dims': self.embed_dims,
            'depths': self.depths,
            'num_heads': tuple(dims // kv_dims for dims, kv_dims in zip(self.embed_dims, self.kv_dims, strict=True)),
            'num_kv_heads': (1,) * len(self.kv_dims),
            'kernel_size': self.kernel_size,
            'stride': self.kernel_size,
            'padding': 0,
            'shifts': ((0, 0),) * num_copies if num_copies > 1 else None,
            'shared_conv': self.num_convs == 1,
            'shared_position': not self.position_copies,
            'mlp_ratio': self.hidden_dims / self.embed_dims[0],
        }

    def __str__(self) -> str:
        copies = f'{self.position_copies[0]} position embeddings' if self.position_copies else 'one position embedding'
        return (
            f'of embed_dims {self.embed_dims}, depths {self.depths}, {self.kv_dims} channels of keys, '
            f'{self.hidden_dims} channels in the first MLP, kernels of {self.kernel_size}, '
            f'{self.num_convs} convolutions and {copies}'
        )


def describe_arch(tensors: Mapping[str, Tensor], num_stages: int | None = None) -> str:
    """The variant that weights belong to, by their shapes: its name, or what it is made of.

    Args:
        tensors: Weights by their names in :class:`LSA`.
        num_stages: How many stages to look at, all by default. Variants that differ only later are named together.
    """
    found = arch_facts(tensors, num_stages)
    names = [
        name
        for name, arch in ARCHS.items()
        if Facts.of(arch, arch.num_stages if num_stages is None else num_stages) == found
    ]
    return ' or '.join(map(repr, names)) or str(found)


def arch_facts(tensors: Mapping[str, Tensor], num_stages: int | None = None) -> Facts:
    """What weights tell of their variant; see :func:`describe_arch`."""
    blocks: dict[int, set[int]] = {}
    for name in tensors:
        block = re.match(r'stages\.(\d+)\.blocks\.(\d+)\.', name)
        if block and (num_stages is None or int(block[1]) < num_stages):
            blocks.setdefault(int(block[1]), set()).add(int(block[2]))

    def size(name: str, dim: int) -> int:
        return tensors[name].shape[dim] if name in tensors else 0

    return Facts(
        embed_dims=tuple(size(f'stages.{i}.norm1.weight', 0) for i in sorted(blocks)),
        depths=tuple(len(blocks[i]) for i in sorted(blocks)),
        kv_dims=tuple(size(f'stages.{i}.blocks.0.attn.kv.weight', 0) // 2 for i in sorted(blocks)),
        hidden_dims=size(FIRST_HIDDEN, 0),
        kernel_size=size(FIRST_CONV, -1),
        num_convs=sum(bool(re.fullmatch(r'stem\.convs\.\d+\.weight', name)) for name in tensors),
        position_copies=tuple(tensors[FIRST_POSITION].shape[:-2]) if FIRST_POSITION in tensors else (),
    )
