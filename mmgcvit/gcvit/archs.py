"""The published GC ViT variants (paper, table S.1, and the released models), and how ``arch`` is read."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from ..layers import at_least, number, read_attributes, resolve_variant, whole_number, whole_numbers

NUM_STAGES = 4


def per_stage(values: Any) -> tuple[int, ...]:
    """One whole number of at least 1 for each stage."""
    values = tuple(int(at_least(1, value)) for value in whole_numbers(values))
    if len(values) != NUM_STAGES:
        raise ValueError(f'{len(values)} values')
    return values


# How each attribute of an arch is read, and what is allowed.
READERS: dict[str, Callable[[Any], Any]] = {
    'embed_dims': lambda value: int(at_least(4, whole_number(value))),
    'depths': per_stage,
    'num_heads': per_stage,
    'mlp_ratio': lambda value: at_least(0.1, number(value)),
    'layer_scale': lambda value: None if value is None else number(value),
    'drop_path_rate': number,
}
EXPECTED = {
    'embed_dims': 'a whole number of at least 4',
    'depths': f'{NUM_STAGES} whole numbers of at least 1',
    'num_heads': f'{NUM_STAGES} whole numbers of at least 1',
    'mlp_ratio': 'a number of at least 0.1',
    'layer_scale': 'a number, or None',
    'drop_path_rate': 'a number',
}


@dataclass(frozen=True)
class GCViTArch:
    """What makes one variant of GC ViT differ from another.

    Attributes:
        embed_dims: Channels of the first stage; each further stage doubles them.
        depths: Blocks of each stage.
        num_heads: Attention heads of each stage.
        mlp_ratio: Channels inside the MLPs, as a multiple of the stage's channels.
        layer_scale: Initial value of the layer scale, None for none.
        drop_path_rate: Drop path rate of the last block in ImageNet training; it rises linearly from 0.
    """

    embed_dims: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    mlp_ratio: float
    layer_scale: float | None = None
    drop_path_rate: float = 0.0

    def __post_init__(self) -> None:
        read_attributes(self, READERS, EXPECTED)
        for stage, (channels, heads) in enumerate(zip(self.stage_dims, self.num_heads, strict=True)):
            if channels % heads:
                raise ValueError(
                    f'arch: the {channels} channels of stage {stage} cannot be split into {heads} heads; '
                    'embed_dims * 2**stage must be a multiple of num_heads[stage]'
                )

    @property
    def stage_dims(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.embed_dims * 2**stage for stage in range(NUM_STAGES))


ARCHS = {
    #                     C    depths          heads           mlp layer scale       drop path
    'xxtiny': GCViTArch(64, (2, 2, 6, 2), (2, 4, 8, 16), 3, drop_path_rate=0.2),
    'xtiny': GCViTArch(64, (3, 4, 6, 5), (2, 4, 8, 16), 3, drop_path_rate=0.2),
    'tiny': GCViTArch(64, (3, 4, 19, 5), (2, 4, 8, 16), 3, drop_path_rate=0.2),
    'tiny2': GCViTArch(64, (3, 4, 29, 5), (2, 4, 8, 16), 3, drop_path_rate=0.25),
    'small': GCViTArch(96, (3, 4, 19, 5), (3, 6, 12, 24), 2, layer_scale=1e-5, drop_path_rate=0.3),
    'small2': GCViTArch(96, (3, 4, 23, 5), (3, 6, 12, 24), 3, layer_scale=1e-5, drop_path_rate=0.35),
    'base': GCViTArch(128, (3, 4, 19, 5), (4, 8, 16, 32), 2, layer_scale=1e-5, drop_path_rate=0.5),
    'large': GCViTArch(192, (3, 4, 19, 5), (6, 12, 24, 48), 2, layer_scale=1e-5, drop_path_rate=0.5),
}


def resolve_arch(arch: str | Mapping[str, Any]) -> GCViTArch:
    """Return the variant of that name, or the one that a dict of :class:`GCViTArch`'s attributes describes.

    Raises:
        ValueError: The name is unknown, or the dict lacks a key, has one too many or holds impossible values.
        TypeError: ``arch`` is neither a name nor a dict.
    """
    return resolve_variant(arch, ARCHS)


def describe_arch(tensors: Mapping[str, Tensor], num_stages: int = NUM_STAGES) -> str:
    """The variant that weights belong to, by their shapes: its name, or what it is made of.

    Args:
        tensors: Weights by their names in :class:`GCViT`; stages after ``num_stages`` are not looked at.
        num_stages: How many stages to look at. Variants that differ only later are named together.
    """
    found = arch_facts(tensors, num_stages)
    names = [name for name, arch in ARCHS.items() if Facts.of(arch, num_stages) == found]
    return ' or '.join(map(repr, names)) or str(found)


def arch_facts(tensors: Mapping[str, Tensor], num_stages: int = NUM_STAGES) -> 'Facts':
    """What weights tell of their variant; see :func:`describe_arch`."""
    stages = [Counter() for _ in range(num_stages)]
    heads, hidden = [0] * num_stages, 0
    for name, tensor in tensors.items():
        block = re.match(r'stages\.(\d+)\.blocks\.(\d+)\.(.*)', name)
        if not block or int(block[1]) >= num_stages:
            continue
        stage = int(block[1])
        stages[stage][block[2]] += 1
        if block[3] == 'attn.position.relative_position_bias_table':
            heads[stage] = tensor.shape[1]
        elif name == 'stages.0.blocks.0.mlp.fc1.weight':
            hidden = tensor.shape[0]
    return Facts(
        embed_dims=tensors['stem.proj.weight'].shape[0] if 'stem.proj.weight' in tensors else 0,
        depths=tuple(len(blocks) for blocks in stages),
        num_heads=tuple(heads),
        hidden_dims=hidden,
        layer_scale='stages.0.blocks.0.attn_residual.layer_scale.gamma' in tensors,
    )


class Facts(NamedTuple):
    """What weights tell of their variant."""

    embed_dims: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    hidden_dims: int
    layer_scale: bool

    @classmethod
    def of(cls, arch: GCViTArch, num_stages: int) -> 'Facts':
        """The facts of a known variant's first stages."""
        hidden_dims = int(arch.embed_dims * arch.mlp_ratio)
        scaled = arch.layer_scale is not None
        return cls(arch.embed_dims, arch.depths[:num_stages], arch.num_heads[:num_stages], hidden_dims, scaled)

    def arch(self) -> dict[str, Any]:
        """The facts as an ``arch`` argument."""
        return {
            'embed_dims': self.embed_dims,
            'depths': self.depths,
            'num_heads': self.num_heads,
            'mlp_ratio': self.hidden_dims / self.embed_dims,
            'layer_scale': 1.0 if self.layer_scale else None,
        }

    def __str__(self) -> str:
        scale = 'with' if self.layer_scale else 'without'
        return (
            f'of embed_dims {self.embed_dims}, depths {self.depths}, num_heads {self.num_heads}, '
            f'{self.hidden_dims} channels in the first MLP, {scale} layer scale'
        )
