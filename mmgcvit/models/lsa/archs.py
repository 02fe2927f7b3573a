"""Define the published LSA variants (paper, sections 4.1 and 4.2; authors' code)."""

from dataclasses import dataclass
from math import inf

from ..layers.arguments import (
    are_ints,
    check_bool,
    check_divisors,
    check_int,
    check_ints,
    check_mlp_ratio,
    is_sequence,
    require,
)

Shifts = tuple[tuple[int, int], ...]  # (dy, dx) in pixels
SHIFT_MODES = ('circular', 'constant', 'reflect', 'replicate')  # padding modes of F.pad

# The paper writes shifts as (Px, Py), horizontal first.
IMAGENET_SHIFTS = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (3, 0), (1, 1), (2, 2), (3, 3))
CIFAR_STRAIGHT = ((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (2, 0), (0, 2), (-2, 0), (0, -2))
CIFAR_OBLIQUE = ((1, 1), (1, 2), (1, -1), (-1, 1), (-1, 2), (-1, -1), (2, 1), (2, 2), (2, -1))
CIFAR_SHIFTS = CIFAR_STRAIGHT + CIFAR_OBLIQUE


@dataclass
class LSAArch:
    """The hyperparameters of an LSA variant.

    Attributes:
        embed_dims: Channels of each stage. There is one stage for each value.
        depths: Blocks of each stage. With shifts, the first block of stage 0 is the paper's local
            attention block.
        num_heads: Attention heads of each stage.
        kernel_size: Side of a patch in pixels.
        stride: Distance between neighbouring patches in pixels.
        padding: Zeros around each copy of the image in pixels.
        shifts: Shift (dy, dx) of each copy of the image in pixels; the first is (0, 0). With None
            there are no copies, and all blocks have global attention.
        num_kv_heads: Key/value heads of each stage, shared by groups of query heads. The default is
            ``num_heads``.
        shift_mode: What fills the border of a shifted copy: with ``'circular'`` the opposite border
            of the padded image, with ``'reflect'`` the mirrored image.
        shared_conv: Whether all copies share one patch embedding.
        shared_position: Whether all copies share one position embedding.
        mlp_ratio: Channels inside the MLPs, as a multiple of the stage's channels.
        drop_path_rate: Drop path rate of every block in training.
        img_size: Side of the training images in pixels.

    Raises:
        ValueError: One of the numbers, the shifts, their mode or a flag is invalid.
    """

    embed_dims: tuple[int, ...]
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    kernel_size: int
    stride: int
    padding: int
    shifts: Shifts | None
    num_kv_heads: tuple[int, ...] | None = None
    shift_mode: str = 'circular'
    shared_conv: bool = False
    shared_position: bool = False
    mlp_ratio: float = 4.0
    drop_path_rate: float = 0.1
    img_size: int = 224

    def __post_init__(self) -> None:
        is_list = is_sequence(self.embed_dims) and len(self.embed_dims) > 0
        expected = 'a list of ints of at least 1, one for each stage'
        require('embed_dims', self.embed_dims, is_list, expected)
        self.num_kv_heads = self.num_heads if self.num_kv_heads is None else self.num_kv_heads
        for name in ('embed_dims', 'depths', 'num_heads', 'num_kv_heads'):
            check_ints(name, getattr(self, name), len(self.embed_dims))
        check_int('kernel_size', self.kernel_size)
        check_int('stride', self.stride)
        check_int('padding', self.padding, minimum=0)
        check_mlp_ratio(self.mlp_ratio, self.embed_dims)
        if self.shifts is not None:
            is_valid = (
                is_sequence(self.shifts)
                and len(self.shifts) > 1
                and all(are_ints(shift, 2, -inf) for shift in self.shifts)
                and tuple(self.shifts[0]) == (0, 0)
            )
            expected = 'None, or at least two pairs (dy, dx), the first (0, 0)'
            require('shifts', self.shifts, is_valid, expected)
        is_mode = self.shift_mode in SHIFT_MODES
        require('shift_mode', self.shift_mode, is_mode, f'one of {", ".join(SHIFT_MODES)}')
        check_bool('shared_conv', self.shared_conv)
        check_bool('shared_position', self.shared_position)
        check_divisors('num_heads', self.num_heads, self.embed_dims)
        check_divisors('num_kv_heads', self.num_kv_heads, self.num_heads)


CIFAR = {'kernel_size': 3, 'stride': 1, 'padding': 1, 'shifts': CIFAR_SHIFTS, 'img_size': 32}
IMAGENET_T = {'kernel_size': 7, 'stride': 7, 'padding': 0, 'shifts': IMAGENET_SHIFTS}
IMAGENET_S = {'kernel_size': 4, 'stride': 4, 'padding': 0, 'shifts': IMAGENET_SHIFTS}
ARCHS = {
    #                          C                     depths        heads
    'imagenet-tiny': LSAArch((192, 192, 192, 192), (2, 4, 4, 4), (4, 4, 4, 4), **IMAGENET_T),
    'imagenet-small': LSAArch((64, 192, 384), (2, 2, 10), (2, 6, 12), **IMAGENET_S),
    'cifar-tiny': LSAArch(
        (192, 192, 192, 192), (2, 4, 4, 4), (3, 3, 3, 3), num_kv_heads=(1, 1, 1, 1), **CIFAR
    ),
    'cifar-small': LSAArch((384, 384, 384, 384), (2, 4, 4, 4), (6, 6, 6, 6), **CIFAR),
    'cifar-base': LSAArch((768, 768, 768, 768), (3, 3, 3, 3), (12, 12, 12, 12), **CIFAR),
}
