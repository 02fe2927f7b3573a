"""Base of the backbones: what hosts expect of one (chosen outputs, freezing), and the refusal of bad input.

Legend: B batch, C_i channels and H_i x W_i size of stage i's map.
"""

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from .layers import LayerNorm, is_exporting, whole_number, whole_numbers
from .pretrained import PretrainedBackbone

WithCp = bool | Sequence[bool]

MIN_IMAGE_SIZE = 32


class PyramidBackbone(PretrainedBackbone):
    """Base of backbones whose stages make ever smaller maps.

    A subclass builds ``self.stem``, which has a ``stride`` in pixels, ``self.stages``, the first ``self.num_stages`` of
    them, each with its ``blocks``, and between them ``self.downsamplers``; it calls :meth:`freeze` at the end of its
    constructor, and implements ``forward``. Output i passes through a LayerNorm of its own, ``norm<i>``.

    Args:
        in_channels: Channels of the images.
        stage_dims: Channels of each stage's map, all stages.
        out_indices: Stages whose maps are returned, ascending.
        frozen_stages: Freeze the stem and that many stages; 0 freezes the stem, -1 nothing.
        init_cfg: See mmengine's ``BaseModule``.
        norm_eps: Epsilon of the output norms.

    Raises:
        ValueError: ``out_indices`` or ``frozen_stages`` is out of range, ``in_channels`` is below 1.
        TypeError: An argument is no whole number, or ``out_indices`` no sequence of them.
    """

    def __init__(
        self,
        in_channels: int,
        stage_dims: Sequence[int],
        out_indices: Sequence[int],
        frozen_stages: int,
        init_cfg: dict | list[dict] | None,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.in_channels = check_whole_number('in_channels', in_channels)
        if self.in_channels < 1:
            raise ValueError(f'in_channels is {in_channels}; expected at least 1')
        self.out_indices = check_out_indices(out_indices, len(stage_dims))
        self.stage_dims = tuple(stage_dims)
        self.num_stages = self.out_indices[-1] + 1
        self.frozen_stages = check_whole_number('frozen_stages', frozen_stages)
        if not -1 <= self.frozen_stages <= self.num_stages:
            raise ValueError(
                f'frozen_stages is {frozen_stages}; expected -1 (nothing), 0 (the stem) or up to {self.num_stages}, '
                'the number of stages that out_indices needs'
            )
        for i in self.out_indices:
            self.add_module(f'norm{i}', LayerNorm(stage_dims[i], eps=norm_eps))

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the image between two places of each stage's map, all stages."""
        return tuple(self.stem.stride * 2**i for i in range(len(self.stage_dims)))

    def levels(self) -> Iterable[tuple[nn.Module, nn.Module]]:
        """The stem and the first stage, then each downsampler and the stage behind it."""
        return zip([self.stem, *self.downsamplers], self.stages, strict=True)

    def output(self, i: int, x: Tensor) -> Tensor:
        """Output i of stage i's map: (B, H_i, W_i, C_i) to (B, C_i, H_i, W_i), normalised."""
        return self.get_submodule(f'norm{i}')(x).permute(0, 3, 1, 2).contiguous()

    def check_images(self, images: Tensor) -> None:
        """Refuse what a backbone cannot process. Not in exports, which serve all sizes.

        Raises:
            TypeError: ``images`` is no tensor, or one of whole or complex numbers.
            ValueError: ``images`` has not four dimensions, not ``in_channels`` channels, or a side under 32 px.
        """
        if is_exporting() or isinstance(images, torch.fx.Proxy):
            return
        if not isinstance(images, Tensor):
            raise TypeError(f'images must be a tensor of shape (B, C, H, W), not {type(images).__name__}')
        if not images.is_floating_point():
            raise TypeError(
                f'images are of {images.dtype}; expected floating point numbers, normalised as a data_preprocessor does'
            )
        shape = tuple(images.shape)
        if images.ndim != 4:
            raise ValueError(f'images have shape {shape}; expected four dimensions (B, C, H, W)')
        if shape[1] != self.in_channels:
            raise ValueError(f'images have shape {shape}, {shape[1]} channels; expected {self.in_channels} channels')
        if min(shape[2:]) < MIN_IMAGE_SIZE:
            raise ValueError(
                f'images have shape {shape}, {shape[2]}x{shape[3]} px; '
                f'expected at least {MIN_IMAGE_SIZE} px on both sides'
            )

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Where a parameter stands in the network, for layer-wise learning rate decay.

        Depth 0 is what comes before the blocks; the blocks count from 1; parts between stages go with the last block
        before them, other parts of a stage with its first block. The output norms, and what is outside of the
        backbone, come last.

        Args:
            param_name: The parameter's name in the model.
            prefix: The backbone's name in the model with a dot behind it, for example ``'backbone.'``.

        Returns:
            Its depth, from 0 to one less than the second number; and the number of depths.

        Raises:
            ValueError: The backbone has no part of that name.
        """
        first_block = [1]
        for stage in self.stages:
            first_block.append(first_block[-1] + len(stage.blocks))
        last = first_block[-1]
        name = param_name[len(prefix) :]
        if not param_name.startswith(prefix) or re.match(r'norm\d', name):
            return last, last + 1
        if not hasattr(self, name.split('.')[0]):
            raise ValueError(f'{type(self).__name__} has no parameter {name!r}')
        part = re.match(r'(stages|downsamplers)\.(\d+)\.(?:blocks\.(\d+)\.)?', name)
        if part is None:
            return 0, last + 1
        kind, index, block = part[1], int(part[2]), int(part[3] or 0)
        return (first_block[index] + block if kind == 'stages' else first_block[index + 1] - 1), last + 1

    def freeze(self) -> None:
        """Put the stem and the frozen stages, each with the downsampler after it and its output norm, in eval mode, and
        take their parameters out of training.
        """
        if self.frozen_stages < 0:
            return
        count = self.frozen_stages
        norms = (self.get_submodule(f'norm{i}') for i in self.out_indices if i < count)
        for part in (self.stem, *self.stages[:count], *self.downsamplers[:count], *norms):
            part.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> 'PyramidBackbone':
        """Switch to training or eval mode; frozen parts stay in eval mode."""
        super().train(mode)
        self.freeze()
        return self


def checkpointed_stages(with_cp: WithCp, num_stages: int) -> tuple[bool, ...]:
    """For each stage whether its activations are recomputed in the backward pass.

    Args:
        with_cp: True for all stages, False for none; or one bool per stage.
        num_stages: How many stages the variant has.

    Raises:
        ValueError: A count of bools that does not fit the number of stages.
        TypeError: Something else.
    """
    if isinstance(with_cp, bool):
        return (with_cp,) * num_stages
    if not isinstance(with_cp, Sequence) or not all(isinstance(stage, bool) for stage in with_cp):
        example = (True,) + (False,) * (num_stages - 1)
        raise TypeError(f'with_cp is {with_cp!r}; expected True, False or one bool per stage, for example {example}')
    if len(with_cp) != num_stages:
        raise ValueError(f'with_cp is {with_cp!r}; expected one bool for each of the {num_stages} stages')
    return tuple(with_cp)


def check_whole_number(name: str, value: int) -> int:
    """Return an argument that is a whole number, or refuse it by its name."""
    try:
        return whole_number(value)
    except TypeError:
        raise TypeError(f'{name} is {value!r}; expected a whole number') from None


def check_out_indices(out_indices: Sequence[int], num_stages: int) -> tuple[int, ...]:
    """Return ``out_indices`` as a tuple, or refuse them with the reason."""
    try:
        indices = whole_numbers(out_indices)
    except TypeError:
        raise TypeError(
            f'out_indices is {out_indices!r}; expected a sequence of stage numbers, for example (0, 1, 2, 3)'
        ) from None
    ascending = list(indices) == sorted(set(indices))
    if not indices or not ascending or indices[0] < 0 or indices[-1] >= num_stages:
        raise ValueError(
            f'out_indices is {indices}; expected ascending stage numbers between 0 and {num_stages - 1}, each once'
        )
    return indices
