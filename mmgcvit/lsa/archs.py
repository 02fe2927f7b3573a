"""The published LSA variants (paper, sections 4.1 and 4.2, and the authors' code), and how ``arch`` is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..layers import at_least, number, read_attributes, resolve_variant, whole_number, whole_numbers

SHIFT_MODES = ('circular', 'reflect')
# A shift must be shorter than the shortest side of an image that the backbone takes.
LONGEST_SHIFT = 31

# (dy, dx). The paper lists (Px, Py), horizontal first.
IMAGENET_SHIFTS = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (3, 0), (1, 1), (2, 2), (3, 3))
CIFAR_SHIFTS = (
    *((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (2, 0), (0, 2), (-2, 0), (0, -2)),
    *((1, 1), (1, 2), (1, -1), (-1, 1), (-1, 2), (-1, -1), (2, 1), (2, 2), (2, -1)),
)


def per_stage(values: Any) -> tuple[int, ...]:
    """Whole numbers of at least 1, one for each stage."""
    values = tuple(int(at_least(1, value)) for value in whole_numbers(values))
    if not values:
        raise ValueError('no stage')
    return values


def read_shifts(values: Any) -> tuple[tuple[int, int], ...] | None:
    """Shifts, the first of which moves nothing."""
    if values is None:
        return None
    shifts = tuple((dy, dx) for dy, dx in map(whole_numbers, values))
    longest = max(abs(step) for shift in shifts for step in shift)
    if shifts[0] != (0, 0) or len(shifts) < 2 or longest > LONGEST_SHIFT:
        raise ValueError(f'{shifts}')
    return shifts


def one_of(allowed: tuple[Any, ...]) -> Callable[[Any], Any]:
    """A reader of values that are listed, by value and type."""

    def read(value: Any) -> Any:
        if not any(value == known and type(value) is type(known) for known in allowed):
            raise ValueError(f'{value!r}')
        return value

    return read


# How each attribute of an arch is read, and what is allowed.
READERS: dict[str, Callable[[Any], Any]] = {
    'embed_dims': per_stage,
    'depths': per_stage,
    'num_heads': per_stage,
    'kernel_size': lambda value: int(at_least(1, whole_number(value))),
    'stride': lambda value: int(at_least(1, whole_number(value))),
    'padding': lambda value: int(at_least(0, whole_number(value))),
    'shifts': read_shifts,
    'num_kv_heads': lambda value: None if value is None else per_stage(value),
    'shift_mode': one_of(SHIFT_MODES),
    'shared_conv': one_of((False, True)),
    'shared_position': one_of((False, True)),
    'mlp_ratio': lambda value: at_least(0.1, number(value)),
    'drop_path_rate': number,
    'img_size': lambda value: int(at_least(32, whole_number(value))),
}
PER_STAGE = 'whole numbers of at least 1, one per stage'
EXPECTED = {
    'embed_dims': PER_STAGE,
    'depths': PER_STAGE,
    'num_heads': PER_STAGE,
    'kernel_size': 'a whole number of at least 1',
    'stride': 'a whole number of at least 1',
    'padding': 'a whole number of at least 0',
    'shifts': f'None, or at least two pairs (dy, dx) of at most {LONGEST_SHIFT} px, the first (0, 0)',
    'num_kv_heads': f'None, or {PER_STAGE}',
    'shift_mode': f'one of {SHIFT_MODES}',
    'shared_conv': 'True or False',
    'shared_position': 'True or False',
    'mlp_ratio': 'a number of at least 0.1',
    'drop_path_rate': 'a number',
    'img_size': 'a whole number of at least 32',
}


@dataclass(frozen=True)
class LSAArch:
    """What makes one variant of LSA differ from another.

    Attributes:
        embed_dims: Channels of each stage; their number is the number of stages.
        depths: Blocks of each stage; where there are shifts, the first block of the first stage attends to them.
        num_heads: Attention heads of each stage.
        kernel_size: Side of a patch in pixels.
        stride: Distance of two patches in pixels.
        padding: Zeros around the (shifted) image in pixels.
        shifts: How far copies of the image are moved, pairs (dy, dx) in pixels, the first (0, 0). None: there are no
            copies, and all blocks attend globally.
        num_kv_heads: Key/value heads of each stage, each shared by as many query heads. None: as many as ``num_heads``.
        shift_mode: ``'circular'``: what a shift moves out at one edge comes in at the other; ``'reflect'``: the image's
            reflection comes in.
        shared_conv: One convolution embeds all copies, instead of one each.
        shared_position: One position embedding for all copies, instead of one each.
        mlp_ratio: Channels inside the MLPs, as a multiple of the stage's channels.
        drop_path_rate: Drop path rate of every block in training.
        img_size: Side of the images in training, in pixels.
    """

    embed_dims: tuple[int, ...]
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    kernel_size: int
    stride: int
    padding: int
    shifts: tuple[tuple[int, int], ...] | None
    num_kv_heads: tuple[int, ...] | None = None
    shift_mode: str = 'circular'
    shared_conv: bool = False
    shared_position: bool = False
    mlp_ratio: float = 4.0
    drop_path_rate: float = 0.1
    img_size: int = 224

    def __post_init__(self) -> None:
        read_attributes(self, READERS, EXPECTED)
        object.__setattr__(self, 'num_kv_heads', self.num_kv_heads or self.num_heads)
        for name in ('depths', 'num_heads', 'num_kv_heads'):
            if len(getattr(self, name)) != self.num_stages:
                raise ValueError(f'arch: {name} is {getattr(self, name)}; expected one for each of embed_dims')
        if self.kernel_size > self.img_size + 2 * self.padding:
            raise ValueError(
                f'arch: kernel_size is {self.kernel_size}; expected at most img_size and both paddings, '
                f'{self.img_size + 2 * self.padding} px'
            )
        for stage, (channels, heads, kv_heads) in enumerate(
            zip(self.embed_dims, self.num_heads, self.num_kv_heads, strict=True)
        ):
            if channels % heads or heads % kv_heads:
                raise ValueError(
                    f'arch: stage {stage} has {channels} channels, {heads} heads and {kv_heads} key/value heads; '
                    'expected channels to be a multiple of heads, and heads of key/value heads'
                )

    @property
    def num_stages(self) -> int:
        """How many stages there are."""
        return len(self.embed_dims)

    @property
    def position_copies(self) -> tuple[int, ...]:
        """The leading dimension of the first stage's position embedding, if it has one."""
        return () if self.shifts is None or self.shared_position else (len(self.shifts),)


ONE_KV_HEAD = (1, 1, 1, 1)
CIFAR = {'kernel_size': 3, 'stride': 1, 'padding': 1, 'shifts': CIFAR_SHIFTS, 'img_size': 32}
IMAGENET_T = {'kernel_size': 7, 'stride': 7, 'padding': 0, 'shifts': IMAGENET_SHIFTS}
IMAGENET_S = {'kernel_size': 4, 'stride': 4, 'padding': 0, 'shifts': IMAGENET_SHIFTS}
ARCHS = {
    #                          C                     depths        heads
    'imagenet-tiny': LSAArch((192, 192, 192, 192), (2, 4, 4, 4), (4, 4, 4, 4), **IMAGENET_T),
    'imagenet-small': LSAArch((64, 192, 384), (2, 2, 10), (2, 6, 12), **IMAGENET_S),
    'cifar-tiny': LSAArch((192, 192, 192, 192), (2, 4, 4, 4), (3, 3, 3, 3), num_kv_heads=ONE_KV_HEAD, **CIFAR),
    'cifar-small': LSAArch((384, 384, 384, 384), (2, 4, 4, 4), (6, 6, 6, 6), **CIFAR),
    'cifar-base': LSAArch((768, 768, 768, 768), (3, 3, 3, 3), (12, 12, 12, 12), **CIFAR),
}


def resolve_arch(arch: str | Mapping[str, Any]) -> LSAArch:
    """Return the variant of that name, or the one that a dict of :class:`LSAArch`'s attributes describes.

    Raises:
        ValueError: The name is unknown, or the dict lacks a key, has one too many or holds impossible values.
        TypeError: ``arch`` is neither a name nor a dict.
    """
    return resolve_variant(arch, ARCHS)
