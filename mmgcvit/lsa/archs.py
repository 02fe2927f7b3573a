"""The published LSA variants (paper, sections 4.1 and 4.2, and the authors' code), and what weights show of theirs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from ..layers.arguments import number, whole_numbers
from ..layers.variants import Variant, attribute, one_of, optional, ratio, whole, wholes

SHIFT_MODES = ('circular', 'reflect')
# A shift must be shorter than the shortest side of an image that the backbone takes.
LONGEST_SHIFT = 31

# (dy, dx). The paper lists (Px, Py), horizontal first.
IMAGENET_SHIFTS = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (3, 0), (1, 1), (2, 2), (3, 3))
CIFAR_SHIFTS = (
    *((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (2, 0), (0, 2), (-2, 0), (0, -2)),
    *((1, 1), (1, 2), (1, -1), (-1, 1), (-1, 2), (-1, -1), (2, 1), (2, 2), (2, -1)),
)


def read_shifts(values: Any) -> tuple[tuple[int, int], ...]:
    """Shifts, the first of which moves nothing."""
    shifts = tuple((dy, dx) for dy, dx in map(whole_numbers, values))
    longest = max(abs(step) for shift in shifts for step in shift)
    if shifts[0] != (0, 0) or len(shifts) < 2 or longest > LONGEST_SHIFT:
        raise ValueError(f'{shifts}')
    return shifts


PER_STAGE = 'whole numbers of at least 1, one per stage'
SHIFTS = f'None, or at least two pairs (dy, dx) of at most {LONGEST_SHIFT} px, the first (0, 0)'
FLAG = one_of(False, True), 'True or False'


@dataclass(frozen=True)
class LSAArch(Variant):
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

    embed_dims: tuple[int, ...] = attribute(wholes(), PER_STAGE)
    depths: tuple[int, ...] = attribute(wholes(), PER_STAGE)
    num_heads: tuple[int, ...] = attribute(wholes(), PER_STAGE)
    kernel_size: int = attribute(whole(1), 'a whole number of at least 1')
    stride: int = attribute(whole(1), 'a whole number of at least 1')
    padding: int = attribute(whole(0), 'a whole number of at least 0')
    shifts: tuple[tuple[int, int], ...] | None = attribute(optional(read_shifts), SHIFTS)
    num_kv_heads: tuple[int, ...] | None = attribute(optional(wholes()), f'None, or {PER_STAGE}', default=None)
    shift_mode: str = attribute(one_of(*SHIFT_MODES), f'one of {SHIFT_MODES}', default='circular')
    shared_conv: bool = attribute(*FLAG, default=False)
    shared_position: bool = attribute(*FLAG, default=False)
    mlp_ratio: float = attribute(ratio, 'a number of at least 0.1', default=4.0)
    drop_path_rate: float = attribute(number, 'a number', default=0.1)
    img_size: int = attribute(whole(32), 'a whole number of at least 32', default=224)

    def __post_init__(self) -> None:
        super().__post_init__()
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

    def facts(self, num_stages: int | None) -> 'Facts':
        """What would be seen in weights of this variant's first stages, or of all."""
        heads = zip(self.embed_dims, self.num_heads, self.num_kv_heads, strict=True)
        return Facts(
            embed_dims=self.embed_dims[:num_stages],
            depths=self.depths[:num_stages],
            kv_dims=tuple(channels // q * kv for channels, q, kv in heads)[:num_stages],
            hidden_dims=int(self.embed_dims[0] * self.mlp_ratio),
            kernel_size=self.kernel_size,
            num_convs=1 if self.shifts is None or self.shared_conv else len(self.shifts),
            position_copies=self.position_copies,
        )


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


class Facts(NamedTuple):
    """What the names and shapes of weights tell about their variant; zeros where a tensor is missing.

    They do not tell which shifts there are, how they are made, or into how many heads a full set of keys and values is
    split: two variants that differ in that only look the same.
    """

    embed_dims: tuple[int, ...]
    depths: tuple[int, ...]
    kv_dims: tuple[int, ...]
    hidden_dims: int
    kernel_size: int
    num_convs: int
    position_copies: tuple[int, ...]

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor], num_stages: int | None = None) -> 'Facts':
        """From tensors by their names in :class:`LSA`; stages after ``num_stages`` are not looked at."""
        blocks = {match.groups() for name in tensors if (match := re.match(r'stages\.(\d+)\.blocks\.(\d+)\.', name))}
        stages = sorted({int(stage) for stage, _ in blocks if num_stages is None or int(stage) < num_stages})
        position = tensors.get('stages.0.position.pos_embed')

        def size(name: str, dim: int) -> int:
            return tensors[name].shape[dim] if name in tensors else 0

        return cls(
            embed_dims=tuple(size(f'stages.{i}.norm1.weight', 0) for i in stages),
            depths=tuple(sum(stage == str(i) for stage, _ in blocks) for i in stages),
            kv_dims=tuple(size(f'stages.{i}.blocks.0.attn.kv.weight', 0) // 2 for i in stages),
            hidden_dims=size('stages.0.blocks.0.mlp.fc1.weight', 0),
            kernel_size=size('stem.convs.0.weight', -1),
            num_convs=sum(bool(re.fullmatch(r'stem\.convs\.\d+\.weight', name)) for name in tensors),
            position_copies=() if position is None else tuple(position.shape[:-2]),
        )

    def arch(self) -> dict[str, Any]:
        """An ``arch`` argument for a network with all of these tensors; what weights do not tell is guessed."""
        num_copies = max(self.num_convs, *self.position_copies, 1)
        return {
            'embed_dims': self.embed_dims,
            'depths': self.depths,
            'num_heads': tuple(dims // kv_dims for dims, kv_dims in zip(self.embed_dims, self.kv_dims, strict=True)),
            'num_kv_heads': (1,) * len(self.kv_dims),
            'kernel_size': self.kernel_size,
            'stride': self.kernel_size,
            'padding': 0,
            'shifts': ((0, 0),) * num_copies if num_copies > 1 else None,
            'shared_conv': self.num_convs == 1,
            'shared_position': not self.position_copies,
            'mlp_ratio': self.hidden_dims / self.embed_dims[0],
        }

    def __str__(self) -> str:
        copies = f'{self.position_copies[0]} position embeddings' if self.position_copies else 'one position embedding'
        return (
            f'of embed_dims {self.embed_dims}, depths {self.depths}, {self.kv_dims} channels of keys, '
            f'{self.hidden_dims} channels in the first MLP, kernels of {self.kernel_size}, '
            f'{self.num_convs} convolutions and {copies}'
        )
