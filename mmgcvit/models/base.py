"""Base class of the backbones: forward pass, freezing and depths of parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .layers.arguments import (
    MIN_IMAGE_SIZE,
    InitCfg,
    check_int,
    is_int,
    is_sequence,
    require,
)
from .layers.blocks import LayerNorm
from .layers.layouts import nhwc_to_nchw
from .layers.lora import add_lora, freeze_all_but_lora
from .pretrained import PretrainedModel


@dataclass(frozen=True)
class FeatureInfo:
    """The channels and strides of a backbone's feature maps, which are asked for as in timm."""

    out_channels: list[int]
    out_strides: list[int]  # in pixels of the images

    def channels(self) -> list[int]:
        return self.out_channels

    def reduction(self) -> list[int]:
        return self.out_strides


class PyramidBackbone(PretrainedModel):
    """Base class of hierarchical backbones: a stem, then stages with downsamplers between them.

    The constructor of a subclass builds ``self.stem``, ``self.stages`` (only the first
    ``self.num_stages``, each with ``blocks``) and ``self.downsamplers``, one between two stages. At
    its end it calls :meth:`finish_init`. The base class builds a LayerNorm for each output, as
    mmdet's Swin does: ``norm<i>`` for stage i.

    The arguments are those of GC ViT and LSA, and two more: ``stage_dims``, the channels of each
    stage's feature map, including stages that are not built, and ``norm_eps``, the epsilon of the
    output norms.
    """

    def __init__(
        self,
        in_channels: int,
        stage_dims: Sequence[int],
        out_indices: Sequence[int],
        frozen_stages: int,
        lora_rank: int,
        init_cfg: InitCfg,
        norm_eps: float = 1e-5,
    ):
        super().__init__(init_cfg)
        self.register_load_state_dict_post_hook(reset_buffers)
        given = list(out_indices) if is_sequence(out_indices) else []
        chosen = [i for i in range(len(stage_dims)) if i in given]
        require(
            'out_indices',
            out_indices,
            bool(given) and given == chosen,
            f'a list of stage indices between 0 and {len(stage_dims) - 1}, each once, in ascending '
            'order',
        )
        check_int('in_channels', in_channels)
        self.in_channels = in_channels
        self.out_indices = tuple(chosen)
        self.stage_dims = stage_dims
        self.num_stages = chosen[-1] + 1
        self.num_features = stage_dims[chosen[-1]]
        self.frozen_stages = frozen_stages
        require(
            'frozen_stages',
            frozen_stages,
            is_int(frozen_stages, -1) and frozen_stages <= self.num_stages,
            f'-1 (freeze nothing), 0 (the stem) or up to {self.num_stages} (the stem and that many '
            'stages)',
        )
        self.lora_rank = lora_rank
        require('lora_rank', lora_rank, is_int(lora_rank, 0), '0 (no LoRA) or an int of at least 1')
        for i in chosen:
            self.add_module(f'norm{i}', LayerNorm(stage_dims[i], eps=norm_eps))

    def finish_init(self, layer_types: tuple[type[nn.Linear | nn.Conv2d], ...]) -> None:
        """Do what a constructor does last: initialise the layers of these types, add LoRA, and
        freeze parameters.

        Their weights are initialised by a truncated normal distribution with standard deviation
        0.02, their biases by 0. Other layers keep torch's default, and position biases and
        embeddings initialise themselves.
        """
        for layer in self.modules():
            if isinstance(layer, layer_types):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        if self.lora_rank:
            for stage in self.stages:
                for block in stage.blocks:
                    add_lora(block, self.lora_rank)
        self.freeze()

    @property
    def feature_info(self) -> FeatureInfo:
        """The channels and strides of the feature maps: ``.channels()`` and ``.reduction()``."""
        channels = [self.stage_dims[i] for i in self.out_indices]
        strides = [self.get_stride(i) for i in self.out_indices]
        return FeatureInfo(channels, strides)

    def get_stride(self, stage: int) -> int:
        """Return the stride of a stage in pixels of the images."""
        return self.stem.stride * 2**stage

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps (B, C_i, H_i, W_i), i in ``out_indices``, of images (B,
        in_channels, H, W).
        """
        self.check_images(images)
        x = self.stem(images)
        maps = []
        for i, stage in enumerate(self.stages):
            if i > 0:
                x = self.downsamplers[i - 1](x)
            x = stage(x)  # (B, H_i, W_i, C_i)
            if i in self.out_indices:
                norm = self.get_submodule(f'norm{i}')
                maps.append(nhwc_to_nchw(norm(x)).contiguous())
        return tuple(maps)

    def check_images(self, images: Tensor) -> None:
        """Raise a ValueError unless ``images`` are floats (B, in_channels, H, W), with sides of at
        least 32 px.
        """
        has_channels = images.ndim == 4 and images.shape[1] == self.in_channels
        is_large = has_channels and min(images.shape[2:]) >= MIN_IMAGE_SIZE
        if not (is_large and images.is_floating_point()):
            raise ValueError(
                f'images have shape {tuple(images.shape)} and {images.dtype}; expected floats (B, '
                f'{self.in_channels}, H, W), with H and W at least {MIN_IMAGE_SIZE}'
            )

    def freeze(self) -> None:
        """Freeze the stem and the first ``frozen_stages`` stages, with their norms and the
        downsamplers after them.

        Frozen modules are set to eval mode, and their parameters to ``requires_grad=False``. -1
        freezes no stage.

        With LoRA, freeze all parameters but the LoRA matrices and the output norms, and of frozen
        stages these too. Stages that are not frozen stay in training mode, with drop path.
        """
        if self.lora_rank:
            freeze_all_but_lora(self)
        num_frozen = self.frozen_stages
        if num_frozen < 0:
            return
        modules = [self.stem, *self.stages[:num_frozen], *self.downsamplers[:num_frozen]]
        modules += [self.get_submodule(f'norm{i}') for i in self.out_indices if i < num_frozen]
        for module in modules:
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
        depths = {f'{prefix}stem.': 0}  # by the beginning of parameter names
        depth = 0
        for i, stage in enumerate(self.stages):
            depths[f'{prefix}stages.{i}.'] = depth + 1
            for j in range(len(stage.blocks)):
                depth += 1
                depths[f'{prefix}stages.{i}.blocks.{j}.'] = depth
            depths[f'{prefix}downsamplers.{i}.'] = depth
        last = depth + 1
        # A block comes after its stage, so the last match is the longest.
        matching = [depths[start] for start in depths if param_name.startswith(start)]
        return matching[-1] if matching else last, last + 1


def reset_buffers(network: nn.Module, _incompatible_keys: Any) -> None:
    """Compute the buffers anew that state dicts lack.

    If the network was built on the meta device, they are still there, or uninitialised after
    to_empty().
    """
    device = next(network.parameters()).device
    for module in network.modules():
        reset = getattr(module, 'reset_buffers', None)
        if reset is not None:
            reset(device)
