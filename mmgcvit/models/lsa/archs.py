"""Define the published LSA variants (paper, sections 4.1 and 4.2; authors' code)."""

from dataclasses import dataclass, replace
from typing import Any

from ..layers.arguments import (
    MIN_IMAGE_SIZE,
    ImageSize,
    are_ints,
    check_divisors,
    check_drop_path_rate,
    check_int,
    check_ints,
    check_mlp_ratio,
    is_sequence,
    require,
    resolve_img_size,
)

Shifts = tuple[tuple[int, int], ...]  # (dy, dx) in pixels
SHIFT_MODES = ('circular', 'constant', 'reflect', 'replicate')  # padding modes of F.pad

# The paper writes shifts as (Px, Py), horizontal first.
IMAGENET_SHIFTS = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (3, 0), (1, 1), (2, 2), (3, 3))
CIFAR_STRAIGHT = ((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (2, 0), (0, 2), (-2, 0), (0, -2))
CIFAR_OBLIQUE = ((1, 1), (1, 2), (1, -1), (-1, 1), (-1, 2), (-1, -1), (2, 1), (2, 2), (2, -1))
CIFAR_SHIFTS = CIFAR_STRAIGHT + CIFAR_OBLIQUE


@dataclass(frozen=True)
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
        shifts: Shift (dy, dx) of each copy of the image in pixels; the first is (0, 0). All are
            shorter than 32 px, the smallest side of images. With None there are no copies, and all
            blocks have global attention.
        num_kv_heads: Key/value heads of each stage, shared by groups of query heads. None: as many
            as query heads. :attr:`kv_heads` has the numbers.
        shift_mode: What fills the border of a shifted copy: with ``'circular'`` the opposite border
            of the padded image, with ``'reflect'`` the mirrored image.
        shared_conv: Whether all copies share one patch embedding.
        shared_position: Whether all copies share one position embedding.
        mlp_ratio: Channels inside the MLPs, as a multiple of the stage's channels.
        drop_path_rate: Drop path rate of every block in training.
        img_size: Size of the training images in pixels, an int or a pair (height, width).

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
    img_size: ImageSize = 224

    def __post_init__(self) -> None:
        is_list = is_sequence(self.embed_dims) and len(self.embed_dims) > 0
        stages = 'a list of ints of at least 1, one for each stage'
        require('embed_dims', self.embed_dims, is_list, stages)
        num_stages = len(self.embed_dims)
        check_ints('embed_dims', self.embed_dims, num_stages)
        check_ints('depths', self.depths, num_stages)
        check_ints('num_heads', self.num_heads, num_stages)
        check_ints('num_kv_heads', self.kv_heads, num_stages)
        check_divisors('num_heads', self.num_heads, self.embed_dims)
        check_divisors('num_kv_heads', self.kv_heads, self.num_heads)
        check_int('kernel_size', self.kernel_size)
        check_int('stride', self.stride)
        check_int('padding', self.padding, minimum=0)
        check_shifts(self.shifts)
        is_mode = self.shift_mode in SHIFT_MODES
        require('shift_mode', self.shift_mode, is_mode, f'one of {", ".join(SHIFT_MODES)}')
        for name in ('shared_conv', 'shared_position'):
            is_bool = isinstance(getattr(self, name), bool)
            require(name, getattr(self, name), is_bool, 'True or False')
        check_mlp_ratio(self.mlp_ratio, self.embed_dims)
        check_drop_path_rate(self.drop_path_rate)
        resolve_img_size(self.img_size, 'img_size')

    @property
    def kv_heads(self) -> tuple[int, ...]:
        """Key/value heads of each stage."""
        return self.num_heads if self.num_kv_heads is None else self.num_kv_heads


def check_shifts(shifts: Any) -> None:
    """Raise a ValueError unless shifts are None, or at least two pairs (dy, dx), the first (0, 0).

    All are shorter than the sides of the smallest images.
    """
    is_valid = shifts is None or (
        is_sequence(shifts)
        and len(shifts) > 1
        and all(are_ints(shift, 2, 1 - MIN_IMAGE_SIZE) for shift in shifts)
        and max(map(max, shifts)) < MIN_IMAGE_SIZE
        and tuple(shifts[0]) == (0, 0)
    )
    expected = (
        'None, or at least two pairs (dy, dx) of less than '
        f'{MIN_IMAGE_SIZE} px in each direction, the first (0, 0)'
    )
    require('shifts', shifts, is_valid, expected)


CIFAR_TINY = LSAArch(
    embed_dims=(192, 192, 192, 192),
    depths=(2, 4, 4, 4),
    num_heads=(3, 3, 3, 3),
    num_kv_heads=(1, 1, 1, 1),
    kernel_size=3,
    stride=1,
    padding=1,
    shifts=CIFAR_SHIFTS,
    img_size=32,
)
CIFAR_SMALL = replace(
    CIFAR_TINY, embed_dims=(384, 384, 384, 384), num_heads=(6, 6, 6, 6), num_kv_heads=None
)
CIFAR_BASE = replace(
    CIFAR_SMALL,
    embed_dims=(768, 768, 768, 768),
    depths=(3, 3, 3, 3),
    num_heads=(12, 12, 12, 12),
)
IMAGENET_TINY = LSAArch(
    embed_dims=(192, 192, 192, 192),
    depths=(2, 4, 4, 4),
    num_heads=(4, 4, 4, 4),
    kernel_size=7,
    stride=7,
    padding=0,
    shifts=IMAGENET_SHIFTS,
)
IMAGENET_SMALL = LSAArch(
    embed_dims=(64, 192, 384),
    depths=(2, 2, 10),
    num_heads=(2, 6, 12),
    kernel_size=4,
    stride=4,
    padding=0,
    shifts=IMAGENET_SHIFTS,
)
ARCHS = {
    'imagenet-tiny': IMAGENET_TINY,
    'imagenet-small': IMAGENET_SMALL,
    'cifar-tiny': CIFAR_TINY,
    'cifar-small': CIFAR_SMALL,
    'cifar-base': CIFAR_BASE,
}
