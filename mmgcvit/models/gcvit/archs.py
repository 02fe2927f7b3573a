"""Define the published GC ViT variants (paper, table S.1; released models)."""

from dataclasses import dataclass

from ..layers.arguments import (
    check_divisors,
    check_drop_path_rate,
    check_int,
    check_ints,
    check_mlp_ratio,
    is_finite_number,
    require,
)

NUM_STAGES = 4
SQUEEZE_RATIO = 4  # squeeze-and-excitation has C / 4 hidden channels


@dataclass(frozen=True)
class GCViTArch:
    """The hyperparameters of a GC ViT variant.

    Attributes:
        embed_dims: Channels of the first stage, at least 4, since squeeze-and-excitation has a
            quarter of them. Each later stage has twice as many as the one before.
        depths: Number of blocks of each stage.
        num_heads: Attention heads of each stage.
        mlp_ratio: Channels inside the MLPs, as a multiple of the stage's channels.
        layer_scale: Initial value of the layer scale; None disables it.
        drop_path_rate: Drop path rate of the last block in ImageNet training; rates rise linearly
            from 0 (first block).

    Raises:
        ValueError: One of the numbers is invalid.
    """

    embed_dims: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    mlp_ratio: float
    layer_scale: float | None = None
    drop_path_rate: float = 0.0

    def __post_init__(self) -> None:
        check_int('embed_dims', self.embed_dims, minimum=SQUEEZE_RATIO)
        check_ints('depths', self.depths, NUM_STAGES)
        check_ints('num_heads', self.num_heads, NUM_STAGES)
        check_divisors('num_heads', self.num_heads, self.stage_dims)
        check_mlp_ratio(self.mlp_ratio, self.stage_dims)
        is_scale = self.layer_scale is None or is_finite_number(self.layer_scale)
        require('layer_scale', self.layer_scale, is_scale, 'None (no layer scale) or a number')
        check_drop_path_rate(self.drop_path_rate)

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
    'small2': GCViTArch(
        96, (3, 4, 23, 5), (3, 6, 12, 24), 3, layer_scale=1e-5, drop_path_rate=0.35
    ),
    'base': GCViTArch(128, (3, 4, 19, 5), (4, 8, 16, 32), 2, layer_scale=1e-5, drop_path_rate=0.5),
    'large': GCViTArch(
        192, (3, 4, 19, 5), (6, 12, 24, 48), 2, layer_scale=1e-5, drop_path_rate=0.5
    ),
}
