"""The published GC ViT variants (paper, table S.1, and the released models), and what weights show of theirs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..layers.arguments import (
    MLP_RATIO,
    NUMBER,
    Variant,
    at_least,
    attribute,
    count_blocks,
    mlp_ratio,
    number,
    side,
    whole_numbers,
)

NUM_STAGES = 4
PER_STAGE = (
    f'{NUM_STAGES} whole numbers of at least 1',
    whole_numbers,
    lambda counts: len(counts) == NUM_STAGES and min(counts) >= 1,
)
TABLE = 'stages.{}.blocks.0.attn.position.relative_position_bias_table'


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

    embed_dims: int = attribute(*at_least(4))
    depths: tuple[int, ...] = attribute(*PER_STAGE)
    num_heads: tuple[int, ...] = attribute(*PER_STAGE)
    mlp_ratio: float = attribute(*MLP_RATIO)
    layer_scale: float | None = attribute('a number, or None', number, default=None)
    drop_path_rate: float = attribute(*NUMBER, default=0.0)

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

    @staticmethod
    def seen_in(tensors: Mapping[str, Tensor], num_stages: int | None = None) -> dict[str, Any]:
        stages = range(NUM_STAGES if num_stages is None else num_stages)
        blocks, scaled = count_blocks(tensors), 'stages.0.blocks.0.attn_residual.layer_scale.gamma' in tensors
        return {
            'embed_dims': side(tensors, 'stem.proj.weight', 0),
            'depths': tuple(blocks[i] for i in stages),
            'num_heads': tuple(side(tensors, TABLE.format(i), 1) for i in stages),
            'mlp_ratio': mlp_ratio(tensors),
            'layer_scale': 1.0 if scaled else None,
        }

    @staticmethod
    def in_words(seen: Mapping[str, Any]) -> str:
        hidden_dims = int(seen['embed_dims'] * seen['mlp_ratio'])
        scale = 'without' if seen['layer_scale'] is None else 'with'
        return (
            f'of embed_dims {seen["embed_dims"]}, depths {seen["depths"]}, num_heads {seen["num_heads"]}, '
            f'{hidden_dims} channels in the first MLP, {scale} layer scale'
        )


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
