"""The published GC ViT variants (paper, table S.1, and the released models), and what weights show of theirs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from ..layers.arguments import number
from ..layers.variants import Variant, attribute, optional, ratio, whole, wholes

NUM_STAGES = 4
COUNTS = wholes(NUM_STAGES), f'{NUM_STAGES} whole numbers of at least 1'


@dataclass(frozen=True)
class GCViTArch(Variant):
    """What makes one variant of GC ViT differ from another.

    Attributes:
        embed_dims: Channels of the first stage; each further stage doubles them.
        depths: Blocks of each stage.
        num_heads: Attention heads of each stage.
        mlp_ratio: Channels inside the MLPs, as a multiple of the stage's channels.
        layer_scale: Initial value of the layer scale, None for none.
        drop_path_rate: Drop path rate of the last block in ImageNet training; it rises linearly from 0.
    """

    embed_dims: int = attribute(whole(4), 'a whole number of at least 4')
    depths: tuple[int, ...] = attribute(*COUNTS)
    num_heads: tuple[int, ...] = attribute(*COUNTS)
    mlp_ratio: float = attribute(ratio, 'a number of at least 0.1')
    layer_scale: float | None = attribute(optional(number), 'a number, or None', default=None)
    drop_path_rate: float = attribute(number, 'a number', default=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
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

    def facts(self, num_stages: int) -> 'Facts':
        """What would be seen in weights of this variant's first stages."""
        scaled, hidden_dims = self.layer_scale is not None, int(self.embed_dims * self.mlp_ratio)
        return Facts(self.embed_dims, self.depths[:num_stages], self.num_heads[:num_stages], hidden_dims, scaled)


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


class Facts(NamedTuple):
    """What the names and shapes of weights tell about their variant; zeros where a tensor is missing."""

    embed_dims: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    hidden_dims: int
    layer_scale: bool

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor], num_stages: int | None = None) -> 'Facts':
        """From tensors by their names in :class:`GCViT`; stages after ``num_stages`` are not looked at."""
        stages = range(NUM_STAGES if num_stages is None else num_stages)
        blocks = {match[0] for name in tensors if (match := re.match(r'stages\.\d+\.blocks\.\d+\.', name))}

        def size(name: str, dim: int) -> int:
            return tensors[name].shape[dim] if name in tensors else 0

        return cls(
            embed_dims=size('stem.proj.weight', 0),
            depths=tuple(sum(block.startswith(f'stages.{i}.') for block in blocks) for i in stages),
            num_heads=tuple(size(f'stages.{i}.blocks.0.attn.position.relative_position_bias_table', 1) for i in stages),
            hidden_dims=size('stages.0.blocks.0.mlp.fc1.weight', 0),
            layer_scale='stages.0.blocks.0.attn_residual.layer_scale.gamma' in tensors,
        )

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
