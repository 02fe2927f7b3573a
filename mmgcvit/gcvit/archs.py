"""The published GC ViT variants (paper, table S.1, and the released models), and how ``arch`` is read."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

NUM_STAGES = 4


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
        for name in ('depths', 'num_heads'):
            values = getattr(self, name)
            if len(values) != NUM_STAGES or not all(isinstance(n, int) and n >= 1 for n in values):
                raise ValueError(f'arch: {name} is {values}; expected {NUM_STAGES} whole numbers of at least 1')
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
    if isinstance(arch, str):
        if arch not in ARCHS:
            raise ValueError(f'unknown arch {arch!r}; choose one of {", ".join(map(repr, ARCHS))}, or give a dict')
        return ARCHS[arch]
    if not isinstance(arch, Mapping):
        raise TypeError(f'arch must be a name or a dict, not {type(arch).__name__}: {arch!r}')
    known = [field.name for field in fields(GCViTArch)]
    required = ['embed_dims', 'depths', 'num_heads', 'mlp_ratio']
    unknown, missing = sorted(set(arch) - set(known)), [name for name in required if name not in arch]
    if unknown or missing:
        raise ValueError(f'arch: unknown keys {unknown}, missing keys {missing}; the keys are {known}')
    return GCViTArch(**{**arch, 'depths': tuple(arch['depths']), 'num_heads': tuple(arch['num_heads'])})
