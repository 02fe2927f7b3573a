"""The published LSA variants (paper, sections 4.1 and 4.2, and the authors' code), and inferring one from weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..layers.arguments import check_float, check_int, check_ints, count_blocks, mlp_ratio, side, to_ints

SHIFT_MODES = ('circular', 'reflect')
# A shift must be shorter than the shortest side of an image that the backbone takes.
LONGEST_SHIFT = 31

# (dy, dx). The paper lists (Px, Py), horizontal first.
IMAGENET_SHIFTS = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (3, 0), (1, 1), (2, 2), (3, 3))
CIFAR_SHIFTS = (
    *((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (2, 0), (0, 2), (-2, 0), (0, -2)),
    *((1, 1), (1, 2), (1, -1), (-1, 1), (-1, 2), (-1, -1), (2, 1), (2, 2), (2, -1)),
)


def check_shifts(shifts: Any) -> tuple[tuple[int, int], ...] | None:
    """Return ``shifts`` as tuples, or reject them."""
    if shifts is None:
        return None
    expected = f'None, or at least two pairs (dy, dx) of at most {LONGEST_SHIFT} px, the first (0, 0)'
    try:
        pairs = tuple((dy, dx) for dy, dx in map(to_ints, shifts))
    except (TypeError, ValueError):
        pairs = ()
    longest = max((abs(step) for shift in pairs for step in shift), default=0)
    if len(pairs) < 2 or pairs[0] != (0, 0) or longest > LONGEST_SHIFT:
        raise ValueError(f'arch: shifts is {shifts!r}; expected {expected}')
    return pairs


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

    Raises:
        ValueError: An attribute is out of its range.
        TypeError: An attribute is of the wrong type.
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
        # The dataclass is frozen: its attributes are set in its dict.
        vars(self).update(
            embed_dims=check_ints('arch: embed_dims', self.embed_dims),
            depths=check_ints('arch: depths', self.depths),
            num_heads=check_ints('arch: num_heads', self.num_heads),
            num_kv_heads=check_ints('arch: num_kv_heads', self.num_kv_heads or self.num_heads),
            kernel_size=check_int('arch: kernel_size', self.kernel_size, 1),
            stride=check_int('arch: stride', self.stride, 1),
            padding=check_int('arch: padding', self.padding, 0),
            shifts=check_shifts(self.shifts),
            mlp_ratio=check_float('arch: mlp_ratio', self.mlp_ratio, 0.1),
            drop_path_rate=check_float('arch: drop_path_rate', self.drop_path_rate, 0),
            img_size=check_int('arch: img_size', self.img_size, 32),
        )
        if self.shift_mode not in SHIFT_MODES:
            raise ValueError(f'arch: shift_mode is {self.shift_mode!r}; expected one of {SHIFT_MODES}')
        for name in ('shared_conv', 'shared_position'):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f'arch: {name} is {getattr(self, name)!r}; expected True or False')
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

    @staticmethod
    def infer(tensors: Mapping[str, Tensor], num_stages: int | None = None) -> dict[str, Any]:
        """The ``arch`` of a network, or of its first stages, with these tensors; zeros stand for what is missing.

        Weights do not tell which shifts there are, how they are made, the stride, or into how many heads a full set of
        keys and values is split: that is made up, and two variants that differ in that only look the same.
        """
        blocks = count_blocks(tensors)
        stages = sorted(i for i in blocks if num_stages is None or i < num_stages)
        embed_dims = tuple(side(tensors, f'stages.{i}.norm1.weight', 0) for i in stages)
        kv_dims = (side(tensors, f'stages.{i}.blocks.0.attn.kv.weight', 0) // 2 for i in stages)
        kernel_size = side(tensors, 'stem.convs.0.weight', -1)
        num_convs = sum(bool(re.fullmatch(r'stem\.convs\.\d+\.weight', name)) for name in tensors)
        num_positions = side(tensors, 'stages.0.position.pos_embed', -3)
        num_copies = max(num_convs, num_positions)
        return {
            'embed_dims': embed_dims,
            'depths': tuple(blocks[i] for i in stages),
            'num_heads': tuple(dims // (own or dims or 1) for dims, own in zip(embed_dims, kv_dims, strict=True)),
            'num_kv_heads': (1,) * len(stages),
            'kernel_size': kernel_size,
            'stride': kernel_size,
            'padding': 0,
            'shifts': ((0, 0),) * num_copies if num_copies > 1 else None,
            'shared_conv': num_convs == 1,
            'shared_position': num_positions == 0,
            'mlp_ratio': mlp_ratio(tensors),
        }


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
