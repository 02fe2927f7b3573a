"""Base class of the backbones: forward pass, freezing, depths of parameters, loading of weights."""

import functools
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from mmengine.model import BaseModule, PretrainedInit, initialize
from torch import Tensor

from ..checkpoints.pretrained import infer_checkpoint_arch, load_pretrained
from ..checkpoints.translating import KeyMapping
from ..checkpoints.weights import Arch, merge_lora, read_weights
from ..errors import CheckpointError
from .layers.arguments import check_int, is_int, is_sequence, require
from .layers.blocks import LayerNorm

MIN_IMAGE_SIZE = 32


class PyramidBackbone(BaseModule):
    """Base class of hierarchical backbones: a stem, then stages with downsamplers between them.

    The constructor of a subclass builds ``self.stem``, ``self.stages`` (only the first
    ``self.num_stages``, each with ``blocks``) and ``self.downsamplers``. At its end it calls
    :func:`add_lora` and :meth:`freeze`. The base class builds a LayerNorm for each output, as
    mmdet's Swin does: ``norm<i>`` for stage i.

    The arguments are those of GC ViT and LSA, and two more: ``stage_dims``, the channels of each
    stage's feature map, including stages that are not built, and ``norm_eps``, the epsilon of the
    output norms.
    """

    archs: ClassVar[Mapping[str, Any]]  # the published variants by name
    default_arch: ClassVar[str]  # the name of the variant that is built by default
    # For each known kind of checkpoint, a table that translates its keys. The last is for this
    # package's own.
    key_mappings: ClassVar[Sequence[KeyMapping]]
    # Returns the hyperparameters that decide the shapes of weights (local keys) of all or the first
    # stages.
    describe_shapes: ClassVar[Callable[[Mapping[str, Tensor], int | None], dict[str, Any]]]

    lora_rank = 0

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
        is_valid = is_sequence(out_indices) and all(
            is_int(i, 0) and i < len(stage_dims) for i in out_indices
        )
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
        """The channels and strides of the feature maps: ``.channels()`` and ``.reduction()``, as in
        timm.
        """
        channels = [self.stage_dims[i] for i in self.out_indices]
        strides = [self.get_stride(i) for i in self.out_indices]
        return SimpleNamespace(channels=lambda: channels, reduction=lambda: strides)

    def get_stride(self, stage: int) -> int:
        """Return the stride of a stage in pixels of the images."""
        return self.stem.stride * 2**stage

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps (B, C_i, H_i, W_i), i in ``out_indices``, of images (B,
        in_channels, H, W).
        """
        self.check_images(images)
        x, maps = images, []
        for i, (before, stage) in enumerate(
            zip([self.stem, *self.downsamplers], self.stages, strict=True)
        ):
            x = stage(before(x))  # (B, H_i, W_i, C_i)
            if i in self.out_indices:
                maps.append(self.get_submodule(f'norm{i}')(x).permute(0, 3, 1, 2).contiguous())
        return tuple(maps)

    def check_images(self, images: Tensor) -> None:
        """Raise a TypeError unless ``images`` is a floating-point tensor, or a ValueError for a
        wrong shape.

        The shape must be (B, in_channels, H, W), with sides of at least 32 px.
        """
        if not isinstance(images, Tensor) or not images.is_floating_point():
            type_name = (
                f'a tensor of {images.dtype}'
                if isinstance(images, Tensor)
                else type(images).__name__
            )
            raise TypeError(
                f'images are {type_name}; expected floats (B, C, H, W), as a data_preprocessor '
                'returns'
            )
        if (
            images.ndim != 4
            or images.shape[1] != self.in_channels
            or min(images.shape[2:]) < MIN_IMAGE_SIZE
        ):
            expected = f'{self.in_channels}, H, W), with H and W at least {MIN_IMAGE_SIZE}'
            raise ValueError(f'images have shape {tuple(images.shape)}; expected (B, {expected}')

    def freeze(self) -> None:
        """Freeze the stem and the first ``frozen_stages`` stages, with their norms and the
        downsamplers after them.

        Frozen modules are set to eval mode, and their parameters to ``requires_grad=False``. -1
        freezes nothing.
        """
        if self.frozen_stages < 0:
            return
        num_frozen = self.frozen_stages
        norms = (self.get_submodule(f'norm{i}') for i in self.out_indices if i < num_frozen)
        for module in (
            self.stem,
            *self.stages[:num_frozen],
            *self.downsamplers[:num_frozen],
            *norms,
        ):
            module.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> 'PyramidBackbone':
        """Switch to training or eval mode, but keep frozen modules in eval mode and frozen."""
        super().train(mode)
        self.freeze()
        return self

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return the depth of a parameter, for layer-wise learning rate decay.

        The stem has depth 0. The blocks of all stages have depths 1, 2, 3, ... A downsampler has
        the depth of the block before it. The parameters of a stage outside of its blocks have the
        depth of its first block. Output norms and parameters outside of the backbone have the
        largest depth.

        ``prefix`` is that of the backbone in the model, for example ``'backbone.'``. The second
        result is the number of different depths.
        """
        first_block = [
            *itertools.accumulate((len(stage.blocks) for stage in self.stages), initial=1)
        ]
        last = first_block[-1]
        name = param_name[len(prefix) :]
        if not param_name.startswith(prefix) or re.match(r'norm\d', name):
            return last, last + 1
        match = re.match(r'(stages|downsamplers)\.(\d+)\.(?:blocks\.(\d+)\.)?', name)
        if match is None:
            return 0, last + 1
        index, block = int(match[2]), int(match[3] or 0)
        return (
            first_block[index] + block if match[1] == 'stages' else first_block[index + 1] - 1
        ), last + 1

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        if (
            not self.lora_rank
        ):  # a backbone without LoRA merges the LoRA matrices of a checkpoint into its weights
            merge_lora(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    @classmethod
    def from_pretrained(
        cls, checkpoint: str | Path, prefix: str | None = None, ema: bool = False, **arguments: Any
    ) -> 'PyramidBackbone':
        """Build a backbone and load its weights from a checkpoint, which may lack only output norms
        and LoRA.

        Args:
            checkpoint: A file, an http(s) URL, or ``timm://NAME``.
            prefix: Prefix of the backbone's keys, for a checkpoint with several networks.
            ema: Use the EMA weights.
            arguments: Arguments of the constructor except ``init_cfg``. Without ``arch``, the
                published variant is inferred from the weights. Position biases of another window
                size are resized, which is logged.

        Raises:
            CheckpointError: The weights do not match, or ``arch`` is missing and the weights are
                not those of a published variant.
        """
        weights = read_weights(str(checkpoint), prefix, ema)
        if 'arch' not in arguments:
            arch = infer_checkpoint_arch(weights, cls)
            if not arch.names:
                problem = f'{checkpoint} has weights of {cls.__name__} {arch}, which is not a published variant'
                raise CheckpointError(
                    f'{problem}. Set arch=dict(...) to the values with which it was trained'
                )
            arguments['arch'] = arch.names[0]
        source = {'checkpoint': str(checkpoint), 'prefix': prefix, 'ema': ema}
        backbone = cls(**arguments, init_cfg={'type': 'Pretrained', **source})
        load_pretrained(backbone, weights)
        backbone._is_init = True  # as init_weights
        return backbone

    def init_weights(self) -> None:
        """Initialise the weights as ``init_cfg`` says.

        ``dict(type='Pretrained', checkpoint=SOURCE)`` loads a file, an http(s) URL or
        ``timm://NAME``. The checkpoint may be of any implementation in ``key_mappings``, and no
        code in it is run. The dict may also have ``prefix``, the prefix of the backbone's keys in a
        checkpoint of several networks, and ``ema=True`` for the EMA weights. Raise a
        CheckpointError if keys or shapes do not match; see :func:`load_pretrained`.
        """
        configs = [self.init_cfg] if isinstance(self.init_cfg, Mapping) else self.init_cfg or []
        pretrained = [
            config for config in configs if config['type'] in ('Pretrained', PretrainedInit)
        ]
        initialize(self, [config for config in configs if config not in pretrained])
        for config in pretrained:
            # mmengine's map_location is ignored: weights are read on the CPU and copied to the
            # device.
            options = {
                key: value for key, value in config.items() if key not in ('type', 'map_location')
            }
            load_pretrained(self, read_weights(options.pop('checkpoint'), **options))
        self._is_init = True

    @classmethod
    def infer_arch(cls, tensors: Mapping[str, Tensor], num_stages: int | None = None) -> Arch:
        """Infer the hyperparameters, and the names of the published variants with these, from the
        shapes of weights.

        ``tensors`` have the keys of this package. Only the first ``num_stages`` are compared, by
        default all.
        """
        attributes = cls.describe_shapes(tensors, num_stages)
        shapes = {
            name: cls.describe_shapes(build_meta_tensors(cls, name), num_stages)
            for name in cls.archs
        }
        return Arch([name for name in cls.archs if shapes[name] == attributes], attributes)


@functools.cache
def build_meta_tensors(network: type[PyramidBackbone], name: str) -> dict[str, Tensor]:
    """Return the state dict of a published variant on the meta device: shapes without values."""
    with torch.device('meta'):
        return network(arch=name).state_dict()


def count_blocks(keys: Iterable[str]) -> Counter[int]:
    """Count the blocks of each stage from the keys of a state dict."""
    blocks = {
        match.groups()
        for key in keys
        if (match := re.match(r'stages\.(\d+)\.blocks\.(\d+)\.', key))
    }
    return Counter(int(stage) for stage, _ in blocks)


def infer_mlp_ratio(tensors: Mapping[str, Tensor]) -> float:
    """Infer ``mlp_ratio`` from the weights of the first MLP, so that ``int(embed_dims *
    mlp_ratio)`` is its width.
    """
    hidden_dims, embed_dims = tensors['stages.0.blocks.0.mlp.fc1.weight'].shape
    # int() rounds down, so return the next larger float.
    return math.nextafter(hidden_dims / embed_dims, math.inf)
