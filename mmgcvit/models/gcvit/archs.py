"""Define the published GC ViT variants (paper, table S.1; released models)."""

from dataclasses import dataclass

from ..layers.arguments import (
    Size,
    Window,
    check_divisors,
    check_drop_path_rate,
    check_int,
    check_ints,
    check_mlp_ratio,
    is_finite_number,
    is_int,
    is_sequence,
    require,
)

NUM_STAGES = 4
STEM_STRIDE = 4  # in pixels
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
        poolings: How often the global query generator of each stage halves the map, at least 0.
            None: not at all if the stage's map of a pretraining image has the size of its window,
            else once. The paper halves it K = log2(H / h) times, which reduces a map of H tokens a
            side to a window of h: 3, 2, 0 and 0 times for images of 224 px and the published
            windows. The published networks do so for other windows and images too, but have None
            in stage 2.

    Raises:
        ValueError: One of the numbers is invalid.
    """

    embed_dims: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    mlp_ratio: float
    layer_scale: float | None = None
    drop_path_rate: float = 0.0
    poolings: tuple[int | None, ...] = (3, 2, None, 0)

    def __post_init__(self) -> None:
        check_int('embed_dims', self.embed_dims, minimum=SQUEEZE_RATIO)
        check_ints('depths', self.depths, NUM_STAGES)
        check_ints('num_heads', self.num_heads, NUM_STAGES)
        check_divisors('num_heads', self.num_heads, self.stage_dims)
        check_mlp_ratio(self.mlp_ratio, self.stage_dims)
        is_scale = self.layer_scale is None or is_finite_number(self.layer_scale)
        require('layer_scale', self.layer_scale, is_scale, 'None (no layer scale) or a number')
        check_drop_path_rate(self.drop_path_rate)
        has_poolings = is_sequence(self.poolings) and len(self.poolings) == NUM_STAGES
        require(
            'poolings',
            self.poolings,
            has_poolings and all(number is None or is_int(number, 0) for number in self.poolings),
            f'a list of {NUM_STAGES} ints of at least 0, or None, one per stage',
        )

    @property
    def stage_dims(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.embed_dims * 2**stage for stage in range(NUM_STAGES))

    def count_poolings(self, stage: int, window_size: Window, img_size: Size) -> int:
        """Return how often the global query generator of a stage halves the map, for a window (h,
        w) and pretraining images of ``img_size`` = (H, W) in pixels.

        If the window is larger than the reduced map, the generator enlarges the map to it.
        """
        number = self.poolings[stage]
        if number is not None:
            return number
        stride = STEM_STRIDE * 2**stage
        h, w = window_size
        is_whole_map = img_size == (stride * h, stride * w)
        return 0 if is_whole_map else 1


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
