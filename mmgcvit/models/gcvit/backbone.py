"""GC ViT: Global Context Vision Transformers, ICML 2023 (arXiv 2206.09959).

Read on in convs.py (stem and downsampler), stage.py, global_query.py and attention.py, then in
../layers. The base class in ../base.py has forward() and freeze(), and ../pretrained.py loads
weights. archs.py has the variants, key_mappings.py the keys of other implementations.

Shapes: B batch, H x W image in pixels, C channels of the first stage.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from ...checkpoints.translating import KeyMapping
from ...registry import MODELS
from ..base import PyramidBackbone
from ..layers.arguments import (
    ArchAttributes,
    ImageSize,
    InitCfg,
    Size,
    WindowSize,
    check_drop_path_rate,
    require,
    resolve_arch,
    resolve_img_size,
    resolve_windows,
)
from ..layers.position import compute_offset_grid
from .archs import ARCHS, NUM_STAGES, GCViTArch
from .attention import AttentionType, GlobalWindowAttention, LocalWindowAttention
from .convs import Downsampler, Stem
from .global_query import GlobalQueryGenerator, GlobalQueryType
from .key_mappings import KEY_MAPPINGS, describe_shapes, make_arch
from .stage import Stage


@MODELS.register_module()
class GCViT(PyramidBackbone):
    """Global Context Vision Transformer as a backbone, with one feature map per chosen stage.

    Args:
        arch: ``'xxtiny'``, ``'xtiny'``, ``'tiny'``, ``'tiny2'``, ``'small'``, ``'small2'``,
            ``'base'``, ``'large'``, or a dict with ``embed_dims, depths, num_heads, mlp_ratio`` and
            optionally ``layer_scale, drop_path_rate, poolings`` (:class:`.GCViTArch`).
        in_channels: Channels of the images.
        window_size: Attention window in tokens. An int for all stages, or a list with one int or
            pair (h, w) per stage. The published windows are 7, 7, 14, 7 for images of 224 px; for
            dense prediction, use 16 or 24 in all stages.
        pretrain_img_size: Image size of pretraining in pixels (an int or a pair). It decides, with
            ``window_size``, whether the global query generator of stage 2 halves its map.
            Checkpoints do not store this. Inputs may have any size from 32 px.
        drop_path_rate: Drop path rate of the last block; the rates rise linearly from 0. The
            default is the variant's rate in ImageNet training.
        out_indices: Stages whose feature maps are returned, 0 to 3. Later stages are not built.
        frozen_stages: Number of stages to freeze along with the stem; 0 freezes the stem, -1
            nothing.
        lora_rank: Rank of LoRA in the linear layers of attention and MLPs. Of the backbone, only
            the low-rank matrices and the output norms are trained, and in frozen stages nothing. 0:
            no LoRA; the low-rank matrices of a loaded checkpoint are merged into the weights.
        with_cp: Use activation checkpointing: recompute blocks in the backward pass, for less
            memory and more time.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` loads any released or self-trained GC
            ViT checkpoint, see :meth:`.PyramidBackbone.init_weights`; or another initialisation of
            mmengine's ``BaseModule``.

    Raises:
        ValueError: The arch, a window, size, rate or stage is invalid. The message says what is
            allowed.

    Shapes: (B, in_channels, H, W), both sides at least 32 px, to a tuple of (B, 2^i * C, H_i, W_i)
        for each i in ``out_indices``, H_i = H / 4 / 2^i rounded up.
    """

    archs = ARCHS
    key_mappings: tuple[KeyMapping, ...] = KEY_MAPPINGS
    describe_shapes = staticmethod(describe_shapes)
    make_arch = staticmethod(make_arch)

    # The modules of the paper; a subclass may set others with the same signature. A stem has an
    # attribute ``stride``. Of the attention types, the first is that of blocks 0, 2, ... of each
    # stage, the second that of blocks 1, 3, ...
    stem_type: Callable[[int, int], nn.Module] = Stem
    stage_type: Callable[..., nn.Module] = Stage
    downsampler_type: Callable[[int, int], nn.Module] = Downsampler
    global_query_type: GlobalQueryType = GlobalQueryGenerator
    attention_types: tuple[AttentionType, ...] = (LocalWindowAttention, GlobalWindowAttention)

    def __init__(
        self,
        arch: str | ArchAttributes = 'tiny',
        in_channels: int = 3,
        window_size: WindowSize = (7, 7, 14, 7),
        pretrain_img_size: ImageSize = 224,
        drop_path_rate: float | None = None,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        lora_rank: int = 0,
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ):
        require('with_cp', with_cp, isinstance(with_cp, bool), 'True or False')
        variant = resolve_arch(arch, self.archs, GCViTArch)
        windows = resolve_windows(window_size, NUM_STAGES)
        img_size = resolve_img_size(pretrain_img_size)
        last_rate = variant.drop_path_rate if drop_path_rate is None else drop_path_rate
        check_drop_path_rate(last_rate)
        drop_path_rates = compute_drop_path_rates(last_rate, variant.depths)
        super().__init__(
            in_channels=in_channels,
            stage_dims=variant.stage_dims,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            lora_rank=lora_rank,
            init_cfg=init_cfg,
        )
        self.stem = self.stem_type(in_channels, variant.embed_dims)
        self.stages = nn.ModuleList()
        for i in range(self.num_stages):
            stage = self.stage_type(
                arch=variant,
                index=i,
                window_size=windows[i],
                drop_path_rates=drop_path_rates[i],
                num_poolings=variant.count_poolings(i, windows[i], img_size),
                with_cp=with_cp,
                global_query_type=self.global_query_type,
                attention_types=self.attention_types,
            )
            self.stages.append(stage)
        # Between two stages. Each halves the map and doubles the channels.
        self.downsamplers = nn.ModuleList(
            self.downsampler_type(dims, next_dims)
            for dims, next_dims in pairwise(variant.stage_dims[: self.num_stages])
        )
        # The authors leave convolutions at torch's default.
        self.finish_init(layer_types=(nn.Linear,))

    @staticmethod
    def compute_grids(settings: Mapping[str, Any]) -> dict[str, Size]:
        """Return the grid of each stage's position bias tables, for windows other than the default.

        Raise a ValueError if the windows cannot be.
        """
        windows = enumerate(resolve_windows(settings.get('window_size'), NUM_STAGES))
        return {
            f'stages.{stage}.blocks.': compute_offset_grid(window)
            for stage, window in windows
            if window is not None
        }


def compute_drop_path_rates(drop_path_rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Return the drop path rates of the blocks of each stage, rising linearly from 0 to
    ``drop_path_rate``.
    """
    rates = torch.linspace(0, drop_path_rate, sum(depths), dtype=torch.float64, device='cpu')
    return [stage_rates.tolist() for stage_rates in rates.split(depths)]
