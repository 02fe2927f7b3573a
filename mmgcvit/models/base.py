"""Base class of the backbones: forward pass, freezing, depths of parameters. loading.py loads their weights."""

import itertools
import re
from collections.abc import Sequence
from types import SimpleNamespace

from torch import Tensor

from .layers.arguments import check_int, is_int, is_sequence, require
from .layers.blocks import LayerNorm
from .loading import PretrainedModel

MIN_IMAGE_SIZE = 32


class PyramidBackbone(PretrainedModel):
    """Base class of hierarchical backbones: a stem, then stages with downsamplers between them.

    The constructor of a subclass builds ``self.stem``, ``self.stages`` (only the first ``self.num_stages``, each with
    ``blocks``) and ``self.downsamplers``. At its end it calls :func:`add_lora` and :meth:`freeze`. The base class
    builds a LayerNorm for each output, as mmdet's Swin does: ``norm<i>`` for stage i.

    The arguments are those of GC ViT and LSA, and two more:

    Args:
        stage_dims: Channels of each stage's feature map, including stages that are not built.
        norm_eps: Epsilon of the output norms.
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
        is_valid = is_sequence(out_indices) and all(is_int(i, 0) and i < len(stage_dims) for i in out_indices)
        is_valid = is_valid and list(out_indices) == sorted(set(out_indices)) != []
        expected = f'a list of stage indices between 0 and {len(stage_dims) - 1}, each once, in ascending order'
        require('out_indices', out_indices, is_valid, expected)
        self.in_channels = check_int('in_channels', in_channels, 1)
        self.out_indices = tuple(out_indices)
        self.stage_dims = tuple(stage_dims)
        self.num_stages = self.out_indices[-1] + 1
        self.num_features = stage_dims[self.out_indices[-1]]
        self.frozen_stages = check_int('frozen_stages', frozen_stages, -1)
        expected = f'-1 (freeze nothing), 0 (the stem) or up to {self.num_stages} (the stem and that many stages)'
        require('frozen_stages', frozen_stages, self.frozen_stages <= self.num_stages, expected)
        for i in self.out_indices:
            self.add_module(f'norm{i}', LayerNorm(stage_dims[i], eps=norm_eps))

    @property
    def feature_info(self) -> SimpleNamespace:
        """The channels and strides of the feature maps: ``.channels()`` and ``.reduction()``, as in timm."""
        channels = [self.stage_dims[i] for i in self.out_indices]
        strides = [self.get_stride(i) for i in self.out_indices]
        return SimpleNamespace(channels=lambda: channels, reduction=lambda: strides)

    def get_stride(self, stage: int) -> int:
        """Return the stride of a stage in pixels of the images."""
        return self.stem.stride * 2**stage

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps (B, C_i, H_i, W_i), i in ``out_indices``, of images (B, in_channels, H, W)."""
        self.check_images(images)
        x, maps = images, []
        for i, (before, stage) in enumerate(zip([self.stem, *self.downsamplers], self.stages, strict=True)):
            x = stage(before(x))  # (B, H_i, W_i, C_i)
            if i in self.out_indices:
                maps.append(self.get_submodule(f'norm{i}')(x).permute(0, 3, 1, 2).contiguous())
        return tuple(maps)

    def check_images(self, images: Tensor) -> None:
        """Raise an error for images that the backbone cannot process.

        Raises:
            TypeError: ``images`` is not a floating-point tensor.
            ValueError: ``images`` is not (B, in_channels, H, W), or has a side under 32 px.
        """
        if not isinstance(images, Tensor) or not images.is_floating_point():
            type_name = f'a tensor of {images.dtype}' if isinstance(images, Tensor) else type(images).__name__
            raise TypeError(f'images are {type_name}; expected floats (B, C, H, W), as a data_preprocessor returns')
        if images.ndim != 4 or images.shape[1] != self.in_channels or min(images.shape[2:]) < MIN_IMAGE_SIZE:
            raise ValueError(
                f'images have shape {tuple(images.shape)}; expected (B, {self.in_channels}, H, W), '
                f'with H and W at least {MIN_IMAGE_SIZE}'
            )

    def freeze(self) -> None:
        """Freeze the stem and the first ``frozen_stages`` stages, with their norms and the downsamplers after them.

        Frozen modules are set to eval mode, and their parameters to ``requires_grad=False``. -1 freezes nothing.
        """
        if self.frozen_stages < 0:
            return
        num_frozen = self.frozen_stages
        norms = (self.get_submodule(f'norm{i}') for i in self.out_indices if i < num_frozen)
        for module in (self.stem, *self.stages[:num_frozen], *self.downsamplers[:num_frozen], *norms):
            module.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> 'PyramidBackbone':
        """Switch to training or eval mode, but keep frozen modules in eval mode and frozen."""
        super().train(mode)
        self.freeze()
        return self

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return the depth of a parameter, for layer-wise learning rate decay.

        The stem has depth 0. The blocks of all stages have depths 1, 2, 3, ... A downsampler has the depth of the block
        before it. The parameters of a stage outside of its blocks have the depth of its first block. Output norms and
        parameters outside of the backbone have the largest depth.

        Args:
            param_name: Name of the parameter in the model.
            prefix: Prefix of the backbone in the model, for example ``'backbone.'``.

        Returns:
            The depth of the parameter, and the number of different depths.
        """
        first_block = [*itertools.accumulate((len(stage.blocks) for stage in self.stages), initial=1)]
        last = first_block[-1]
        name = param_name[len(prefix) :]
        if not param_name.startswith(prefix) or re.match(r'norm\d', name):
            return last, last + 1
        match = re.match(r'(stages|downsamplers)\.(\d+)\.(?:blocks\.(\d+)\.)?', name)
        if match is None:
            return 0, last + 1
        index, block = int(match[2]), int(match[3] or 0)
        return (first_block[index] + block if match[1] == 'stages' else first_block[index + 1] - 1), last + 1
